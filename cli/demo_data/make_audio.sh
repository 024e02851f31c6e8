#!/bin/sh
# Speaks scripts/*.json into audio/ again. Needs: apt-get install flite ffmpeg; Python with numpy.
set -eu
for program in flite ffmpeg; do
    command -v "$program" >/dev/null || { echo "make_audio: $program is missing (apt-get install flite ffmpeg)" >&2; exit 1; }
done
exec "${PYTHON:-python3}" "$(dirname "$0")/make_audio.py" "$@"
