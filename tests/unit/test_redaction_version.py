"""A rendition's hash holds the redactor's version: rules that mask differently need another number."""

import ast
import hashlib
from pathlib import Path

from engines import redaction
from engines.redaction.redactor import RULES, PatternAndNameRedactor

FINGERPRINTS = {2: "1d46f2941e431f1d"}
"""By number of the rules: a hash of the code that makes them, without comments, docstrings and layout."""


def fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(redaction.__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [part for part in body if not _is_docstring(part)]  # type: ignore[attr-defined]
        digest.update(f"{path.name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()[:16]


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_changed_rules_have_a_new_number() -> None:
    found = fingerprint()
    assert FINGERPRINTS.get(RULES) == found, (
        f"engines/redaction has changed. If it masks differently now, raise RULES in redactor.py; then put "
        f"{{RULES: {found!r}}} into FINGERPRINTS. Stored renditions keep their version; re-runs get the new one."
    )


def test_the_version_names_rules_and_models() -> None:
    version = PatternAndNameRedactor().version
    assert f"rules-{RULES}" in version
    assert "en-core-web-sm-3.8.0" in version
    assert PatternAndNameRedactor({}).version != version
