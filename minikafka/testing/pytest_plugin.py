"""The fixtures that pytest finds once minikafka is installed.

    def test_orders_are_confirmed(minikafka):
        minikafka.topic("orders")
        with minikafka.assert_produces("confirmations", b"tea: confirmed"):
            minikafka.produce("orders", "tea")
            confirm_orders(minikafka.bootstrap_servers)

pytest imports this module at every start, so it imports nothing that the project does not need for its tests anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from minikafka import testing

if TYPE_CHECKING:
    from minikafka.testing.running import RunningBroker

_MARKER = "minikafka(config): settings by Kafka's keys for the broker of this test, {'num.partitions': '4'}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting for the project's configuration file."""
    parser.addini("minikafka_config", "settings of all brokers, one KEY=VALUE by Kafka's keys a line", "linelist", [])


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(name="minikafka")
def broker_of_one_test(request: pytest.FixtureRequest) -> Iterator[RunningBroker]:
    """A Kafka broker that this test has for itself: nothing is in it, and nothing of it stays."""
    config = _project_config(request.config)
    for marker in reversed(list(request.node.iter_markers("minikafka"))):  # the test's own last
        config |= _marker_config(*marker.args, **marker.kwargs)
    with testing.running_broker(config=config) as broker:
        yield broker


@pytest.fixture(name="minikafka_session", scope="session")
def broker_of_all_tests(pytestconfig: pytest.Config) -> Iterator[RunningBroker]:
    """A Kafka broker that the tests of a session share, for fixtures that outlive a test."""
    with testing.running_broker(config=_project_config(pytestconfig)) as broker:
        yield broker


def _marker_config(config: Mapping[str, str]) -> Mapping[str, str]:
    """What a marker was given; a call that does not fit is refused by Python itself."""
    return config


def _project_config(config: pytest.Config) -> dict[str, str]:
    settings = {}
    for line in config.getini("minikafka_config"):
        key, separator, value = line.partition("=")
        if not separator:
            raise pytest.UsageError(f"minikafka_config: {line!r} is not of the form KEY=VALUE")
        settings[key.strip()] = value.strip()
    return settings
