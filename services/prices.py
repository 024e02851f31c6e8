"""The shipped price lists: what providers ask, as their public pages said on a day. They are proposals: an operator
gives an engine its own price, and every bill says which list it was made with."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from domain.engine import Price

LIST = "price_lists.toml"


def listed_price(kind: str, model: str) -> Price | None:
    """The newest list price of a model, None when no list has it.

    Lists name models by their family: `gpt-4o-mini-2024-07-18` has the price of `gpt-4o-mini`, the longest name that it
    begins with.
    """
    best: tuple[int, str, Price] | None = None
    for name, price in _prices().get(kind, {}).items():
        begins = model == name or model.startswith((f"{name}-", f"{name}@", f"{name}:"))
        if begins and (best is None or len(name) > best[0]):
            best = (len(name), name, price)
    return None if best is None else best[2]


@cache
def _prices() -> Mapping[str, Mapping[str, Price]]:
    """Kind → model → price; `version` holds list, date and model."""
    content = tomllib.loads((files("services") / LIST).read_text(encoding="utf-8"))
    found: dict[str, dict[str, Price]] = {}
    for list_ in content["lists"]:
        version = f"{list_['name']} {list_['as_of']}"
        for entry in list_["models"]:
            given: dict[str, Any] = {key: value for key, value in entry.items() if key != "model"}
            price = Price(**given, version=f"{version} {entry['model']}")
            for kind in list_["kinds"]:
                found.setdefault(kind, {})[entry["model"]] = price
    return found
