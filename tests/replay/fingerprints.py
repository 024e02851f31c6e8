"""Fingerprints of workflow code: what a run's history depends on, without comments, docstrings and layout.

    python -m tests.replay.fingerprints        # writes fingerprints.json

A workflow's fingerprint covers its module and every module of `workflows` it imports. The shape is our own walk of
the syntax tree, because `ast.dump` differs between versions of Python.
"""

import ast
import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).parent / "fingerprints.json"

_NO_MEANING = {"ctx", "kind", "type_comment", "type_params", "type_ignores"}


def fingerprints(root: Path = ROOT) -> dict[str, str]:
    """Name of each `@workflow.defn` class in `workflows/`, and its fingerprint."""
    found = {}
    for path in sorted((root / "workflows").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and any(_is_defn(decorator) for decorator in node.decorator_list):
                found[node.name] = _digest(root, path)
    return found


def _is_defn(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(target) == "workflow.defn"


def _digest(root: Path, path: Path) -> str:
    modules = {
        name: shape(ast.parse((root / name).read_text(encoding="utf-8"))) for name in sorted(_closure(root, path))
    }
    return hashlib.sha256(json.dumps(modules, sort_keys=True).encode()).hexdigest()


def _closure(root: Path, path: Path) -> set[str]:
    """The module and what it imports of `workflows`, however far."""
    open_, seen = [path], set()
    while open_:
        current = open_.pop()
        name = str(current.relative_to(root))
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(current.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workflows."):
                open_.append(root / f"{(node.module or '').replace('.', '/')}.py")
    return seen


def shape(node: object) -> object:
    """The tree as plain lists: same meaning, same shape, in every version of Python."""
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if name not in _NO_MEANING]
        inner = [
            [name, shape(_without_docstring(node, name, value))] for name, value in fields if value not in (None, [])
        ]
        return [type(node).__name__, *inner]
    if isinstance(node, list):
        return [shape(item) for item in node]
    return repr(node)


def _without_docstring(node: ast.AST, name: str, value: object) -> object:
    owns = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    if owns and name == "body" and isinstance(value, list) and value and _is_text(value[0]):
        return value[1:]
    return value


def _is_text(statement: object) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


if __name__ == "__main__":
    FILE.write_text(json.dumps(fingerprints(), indent=2) + "\n", encoding="utf-8")
