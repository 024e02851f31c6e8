"""JMESPath as mappings use it: compiled once, with a few functions of our own, and bounded.

Mappings and payloads both come from outside. An expression can be written so that its value doubles with every step,
so work is counted: every node visited, every element copied, every argument of a function. What would go over the
budget ends in InvalidInput.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jmespath import exceptions, functions
from jmespath import visitor as jmespath_visitor
from jmespath.parser import Parser

Node = Mapping[str, Any]

MOST_STEPS = 10_000_000
FEWEST_STEPS = 200_000
STEPS_A_BYTE = 20
"""A message of 50 bytes is read by about ten expressions of ten nodes each; ten times that is generous."""

_CHARACTERS_A_STEP = 16
_OWN_FUNCTIONS = frozenset({"root", "conversation", "lookup"})


class BadExpression(Exception):
    """An expression that is none, that does not fit what it is applied to, or that takes too long. Its text says why
    and holds nothing of the payload."""


@lru_cache(maxsize=4096)
def compiled(expression: str) -> Node:
    """The expression's tree. Raises BadExpression."""
    try:
        tree: Node = Parser().parse(expression).parsed
    except RecursionError:
        raise BadExpression("is nested too deeply") from None
    except exceptions.ParseError as error:
        raise BadExpression(f"is not a JMESPath expression: see character {error.lex_position + 1}") from None
    except exceptions.LexerError as error:
        raise BadExpression(f"is not a JMESPath expression: see character {error.lexer_position + 1}") from None
    except (exceptions.JMESPathError, ValueError, TypeError, IndexError, KeyError, AttributeError):
        raise BadExpression("is not a JMESPath expression") from None
    _check_functions(tree)
    return tree


class Evaluator:
    """Evaluates expressions over one payload. size: bytes of the payload, which set how much work it is worth."""

    def __init__(self, root: Any, size: int) -> None:
        steps = min(MOST_STEPS, FEWEST_STEPS + STEPS_A_BYTE * size)
        self._functions = _Functions(root)
        self._interpreter = _Interpreter(self._functions, steps)

    def enter(self, conversation: Any) -> None:
        """What `conversation()` gives from here on."""
        self._functions.conversation = conversation

    def find(self, expression: str, value: Any) -> Any:
        """The expression's value seen from `value`. Raises BadExpression."""
        tree = compiled(expression)
        try:
            return self._interpreter.visit(tree, value)
        except exceptions.JMESPathTypeError as error:
            expected = " or ".join(error.expected_types)
            reason = f"does not fit what is there: {error.function_name}() takes {expected}, not {error.actual_type}"
            raise BadExpression(reason) from None
        except RecursionError:
            raise BadExpression("is nested too deeply") from None
        except (
            exceptions.JMESPathError, ArithmeticError, ValueError, TypeError, IndexError, KeyError, AttributeError
        ):  # fmt: skip
            raise BadExpression("does not fit what is there") from None


def is_true(value: Any) -> bool:
    """JMESPath's truth: everything but null, false and what is empty."""
    return not (value is None or value is False or value in ("", [], {}))


def first_names(tree: Node) -> set[str]:
    """Names the expression reads from the value it is applied to: `a` of `a.b` and of `a || c`, `a` and `c`."""
    kind, children = tree["type"], tree.get("children", ())
    if kind == "field":
        return {tree["value"]}
    if kind in ("subexpression", "pipe", "index_expression", "projection", "value_projection", "filter_projection"):
        return first_names(children[0])
    if kind in ("literal", "expref"):
        return set()
    return {name for child in children if isinstance(child, dict) for name in first_names(child)}


def _check_functions(tree: Node) -> None:
    """Raises BadExpression for a function there is not, or another number of arguments than it takes."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        children = [child for child in node.get("children", ()) if isinstance(child, dict)]
        waiting.extend(children)
        if node["type"] == "slice" and node["children"][2] == 0:
            raise BadExpression("has a slice with the step 0")
        if node["type"] != "function_expression":
            continue
        known = _Functions.FUNCTION_TABLE.get(node["value"])
        if known is None:
            raise BadExpression(f"uses {node['value'][:40]}(), which there is not")
        takes = len(known["signature"])
        variadic = bool(takes) and known["signature"][-1].get("variadic", False)
        if len(children) < takes or (len(children) > takes and not variadic):
            raise BadExpression(f"gives {node['value']}() {len(children)} arguments; it takes {takes}")


class _Functions(functions.Functions):
    """JMESPath's functions and ours."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.conversation: Any = None
        self._indexes: dict[tuple[int, str], tuple[list[Any], dict[str, Any]]] = {}

    @functions.signature()
    def _func_root(self) -> Any:
        return self.root

    @functions.signature()
    def _func_conversation(self) -> Any:
        return self.conversation

    @functions.signature({"types": ["array", "null"]}, {"types": ["string"]}, {"types": []})
    def _func_lookup(self, among: list[Any] | None, key: str, value: Any) -> Any:
        """The first object of the list whose `key` has the value, compared as text."""
        if not among or not isinstance(value, (str, int, float)):
            return None
        held = self._indexes.get((id(among), key))
        if held is None:
            index: dict[str, Any] = {}
            for entry in among:
                if isinstance(entry, dict) and isinstance(entry.get(key), (str, int, float)):
                    index.setdefault(str(entry[key]), entry)
            held = self._indexes[id(among), key] = (among, index)  # the list is held, so that its id stays its own
        return held[1].get(str(value))

    @functions.signature({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_split(self, text: str | None, separator: str) -> list[str]:
        """The parts of a text, without blanks around them and without empty ones."""
        parts = (text or "").split(separator) if separator else [text or ""]
        return [part.strip() for part in parts if part.strip()]

    @functions.signature({"types": ["string", "null"]})
    def _func_lower(self, text: str | None) -> str | None:
        return None if text is None else text.lower()

    @functions.signature({"types": ["string", "number", "boolean", "null"]})
    def _func_text(self, value: Any) -> str | None:
        return None if value is None else str(value)


class _Interpreter(jmespath_visitor.TreeInterpreter):
    """Counts what it does."""

    def __init__(self, own: _Functions, steps: int) -> None:
        super().__init__(jmespath_visitor.Options(custom_functions=own))
        self._own = own
        self._left = steps

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._charge(1)
        return super().visit(node, *args, **kwargs)

    def visit_flatten(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        merged: list[Any] = []
        for element in base:
            if isinstance(element, list):
                self._charge(len(element))
                merged.extend(element)
            else:
                merged.append(element)
        self._charge(len(base))
        return merged

    def visit_slice(self, node: Any, value: Any) -> Any:
        if isinstance(value, list):
            self._charge(len(value))
        return super().visit_slice(node, value)

    def visit_multi_select_list(self, node: Any, value: Any) -> Any:
        return self._weighed(super().visit_multi_select_list(node, value))

    def visit_multi_select_dict(self, node: Any, value: Any) -> Any:
        return self._weighed(super().visit_multi_select_dict(node, value))

    def visit_comparator(self, node: Any, value: Any) -> Any:
        left, right = (self._weighed(self.visit(child, value)) for child in node["children"])
        compared: Any = {**node, "children": [{"type": "literal", "value": side} for side in (left, right)]}
        return super().visit_comparator(compared, value)

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        arguments = [self.visit(child, value) for child in node["children"]]
        if node["value"] not in _OWN_FUNCTIONS:
            for argument in arguments:
                self._weighed(argument)
        return self._own.call_function(node["value"], arguments)

    def _charge(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise BadExpression("takes too long")

    def _weighed(self, value: Any) -> Any:
        """Charges a value's size: what it costs to compare, join or print it."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                self._charge(1 + len(one) // _CHARACTERS_A_STEP)
            elif isinstance(one, (list, dict)):
                self._charge(1 + len(one))
                waiting.extend(one.values() if isinstance(one, dict) else one)
        return value
