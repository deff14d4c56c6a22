"""One API is one name: a route, its messages, its handler and its tests; and every module has its test module."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikafka.broker.routes import ROUTES, Route
from minikafka.protocol.api_keys import request_class, response_class

ROOT = Path(__file__).parents[2]

VALUES_ONLY = {
    "minikafka/broker/services.py",  # a dataclass that the composition root fills
    "minikafka/config/without_effect.py",  # a table
    "minikafka/coordinator/group/consumer/assignment.py",
    "minikafka/coordinator/group/values.py",
    "minikafka/net/handler.py",  # the interface of two layers
    "minikafka/protocol/errors.py",
    "minikafka/replication/state.py",  # values, covered where they are made
    "minikafka/storage/environment.py",  # a dataclass
    "clients/minikafka_client/admin/types.py",
    "clients/minikafka_client/consumer/message.py",
}
TESTED_WITH = {  # halves of one thing, which the tests take as a whole
    "minikafka/cli/lazy.py": "minikafka/cli/test_main.py",
    "minikafka/cli/log_dump.py": "minikafka/cli/test_log.py",
    "minikafka/cli/options.py": "minikafka/cli/test_main.py",
    "minikafka/cli/readers.py": "minikafka/cli/test_consume.py",
    "minikafka/cluster/sqlite_tree.py": "minikafka/cluster/test_store.py",
    "minikafka/net/answers.py": "minikafka/net/test_server.py",
    "minikafka/net/broker_protocol.py": "minikafka/net/test_server.py",
    "minikafka/storage/log_truncation.py": "minikafka/storage/test_log.py",
    "minikafka/records/record_walk.py": "minikafka/records/test_validation.py",
    "clients/minikafka_client/consumer/fetcher.py": "clients/minikafka_client/consumer/test_consumer.py",
    "clients/minikafka_client/producer/sender.py": "clients/minikafka_client/producer/test_producer.py",
    "clients/minikafka_client/producer/transaction_coordinator.py": (
        "clients/minikafka_client/producer/test_transactions.py"
    ),
}
LONG_TABLES = {"minikafka/errors.py"}
BY_ANOTHER_NAME = (  # all of these are tested by test_every_message.py
    "minikafka/protocol/messages/",
    "minikafka/protocol/payloads/consumer_protocol.py",
    "minikafka/protocol/payloads/group_records.py",
    "minikafka/protocol/payloads/transaction_records.py",
)


def source_modules() -> list[str]:
    found = [*(ROOT / "minikafka").rglob("*.py"), *(ROOT / "clients").rglob("*.py")]
    paths = sorted(str(path.relative_to(ROOT)) for path in found if not path.stem.startswith("__"))
    return [path for path in paths if path not in VALUES_ONLY and not path.startswith(BY_ANOTHER_NAME)]


@pytest.mark.parametrize("path", source_modules())
def test_every_module_has_its_test_module(path: str) -> None:
    source = Path(path)
    mirror = ROOT / "tests" / TESTED_WITH.get(path, f"{source.parent}/test_{source.name}")
    assert mirror.exists(), f"{path} has no {mirror.relative_to(ROOT)}"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.api_key.name)
def test_every_route_has_messages_that_know_its_versions_and_a_handler(route: Route) -> None:
    for message in (request_class(route.api_key), response_class(route.api_key)):
        assert route.first_parsed in message.VALID
        assert route.last_version in message.VALID
    assert (ROOT / (route.handler_module.replace(".", "/") + ".py")).exists()


def test_every_handler_is_routed() -> None:
    handlers = {path.stem for path in (ROOT / "minikafka/broker/handlers").glob("*.py")} - {"__init__"}
    assert handlers == {route.handler_module.rpartition(".")[2] for route in ROUTES}


@pytest.mark.parametrize("path", source_modules())
def test_no_module_grows_beyond_what_one_idea_needs(path: str) -> None:
    assert path in LONG_TABLES or len((ROOT / path).read_text().splitlines()) <= 500
