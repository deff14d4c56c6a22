"""Brokers in processes of their own, as clients meet them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.process import BrokerProcess

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this package; what other people's clients do at their end is not held against ours."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:(read_text|open_text) is:DeprecationWarning"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker that tests share, each with topics of its own; data on disk, two partitions by default."""
    with BrokerProcess(tmp_path_factory.mktemp("interop"), "num.partitions=2") as process:
        yield process
        assert process.complaints() == []


@pytest.fixture(autouse=True, scope="module")
def _no_leftovers() -> Iterator[None]:
    """What clients forgot to close is collected before tests come that do not let such warnings pass."""
    yield
    gc.collect()


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic name that no other test uses."""
    return "".join(char if char.isascii() and char.isalnum() else "-" for char in request.node.name)[-200:]
