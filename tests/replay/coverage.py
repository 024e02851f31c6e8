"""Which lines of the workflows' code run during a replay.

Traced by hand: the code runs in the sandbox, in threads of its own, partly in modules loaded anew for each run.
"""

import ast
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


@contextmanager
def lines_run(folder: Path) -> Iterator[dict[str, set[int]]]:
    """File name → numbers of the lines that ran inside the block, in any thread that begins in it."""
    seen: dict[str, set[int]] = defaultdict(set)
    prefix = str(folder)

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(prefix):
            return None
        if event == "line":
            seen[Path(file).name].add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield seen
    finally:
        sys.settrace(before)
        threading.settrace(None)


def lines_of_functions(file: Path) -> set[int]:
    """The lines of a module that only run when its functions are called."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in node.body:
                found |= {inner.lineno for inner in ast.walk(statement) if isinstance(inner, ast.stmt)}
    code = compile(tree, str(file), "exec")
    return found & _lines(code)


def _lines(code: CodeType) -> set[int]:
    own = {line for _, _, line in code.co_lines() if line is not None}
    return own.union(*(_lines(inner) for inner in code.co_consts if isinstance(inner, CodeType)))
