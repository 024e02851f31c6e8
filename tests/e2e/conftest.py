"""One stack for all tests of a module: starting one takes longest."""

from collections.abc import Iterator

import pytest

from tests.support.faulty_world import World, faulty_world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The whole service, and a provider that counts."""
    with faulty_world() as made:
        yield made
