"""Stand-ins for the service's own processes: they become ready, obey SIGTERM and do nothing else.

python -m tests.support.stand_in worker ROLE | api | migrate | stubborn | hopeless
"""

import http.server
import os
import signal
import sys
from pathlib import Path


def _worker() -> None:
    Path(os.environ["PARLEY_READY_FILE"]).touch()
    signal.pause()


def _api() -> None:
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            return

    http.server.HTTPServer(("127.0.0.1", int(os.environ["PARLEY_API_PORT"])), Health).serve_forever()


def _stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _worker()


def _hopeless() -> None:
    sys.exit("this process has a reason to end")


if __name__ == "__main__":
    {"worker": _worker, "api": _api, "migrate": lambda: None, "stubborn": _stubborn, "hopeless": _hopeless}[
        sys.argv[1]
    ]()
