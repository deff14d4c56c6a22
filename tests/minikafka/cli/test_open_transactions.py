from __future__ import annotations

import pytest

from minikafka.cli.open_transactions import OpenTransaction, open_transactions
from minikafka.types import TopicPartition
from minikafka_client.admin.types import ProducerState
from minikafka_client.sync import Admin, Producer

ORDERS = TopicPartition("orders", 0)


@pytest.mark.parametrize(("transactional_id", "shown"), [("payments", "payments"), (None, "-")])
def test_a_row_says_who_has_what_open_since_when(transactional_id: str | None, shown: str) -> None:
    producer = ProducerState(7, 2, 5, 1_000, None, 31)
    found = OpenTransaction(ORDERS, producer, transactional_id, hangs=True)
    assert found.row(now_ms=121_000) == ("orders[0]", 31, 7, 2, "2m ago", shown)
    assert found.as_json() == {
        "topic": "orders",
        "partition": 0,
        "start_offset": 31,
        "producer_id": 7,
        "producer_epoch": 2,
        "coordinator_epoch": None,
        "last_timestamp_ms": 1_000,
        "transactional_id": transactional_id,
    }


def test_only_what_is_open_is_found(bootstrap: str, topic: str) -> None:
    where = TopicPartition(topic, 0)
    with Admin(bootstrap) as admin, Producer(bootstrap, transactional_id=topic) as producer:
        with producer.transaction():
            producer.send_and_wait(topic, b"1", partition=0)
            (found,) = open_transactions(admin, [where])
            assert (found.where, found.transactional_id, found.hangs) == (where, topic, False)
        assert open_transactions(admin, [where]) == []


def test_what_ends_while_coordinators_are_asked_does_not_hang(bootstrap: str, topic: str) -> None:
    where = TopicPartition(topic, 0)
    with Producer(bootstrap, transactional_id=topic) as producer:
        transaction = producer.transaction()

        class Slow(Admin):
            def list_transactions(self, **filters: object) -> list[object]:  # type: ignore[override]
                transaction.__exit__(None, None, None)
                return super().list_transactions(**filters)  # type: ignore[arg-type, return-value]

        transaction.__enter__()
        producer.send_and_wait(topic, b"1", partition=0)
        with Slow(bootstrap) as admin:
            assert open_transactions(admin, [where]) == []
