"""FastStream: a subscriber that is a publisher, on its broker for confluent-kafka."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from minikafka_client import Admin, Message, NewTopic, Producer
from tests.interop.application import Application, gather, wait_for_members
from tests.interop.process import BrokerProcess

pytestmark = pytest.mark.slow


def send_orders(broker: BrokerProcess, numbers: Iterable[int]) -> None:
    with Producer(broker.bootstrap) as producer:
        for number in numbers:
            producer.send("orders", json.dumps({"number": number, "drink": "tea", "count": number % 3}))


def assert_each_is_billed_once(invoices: list[Message], numbers: Iterable[int]) -> None:
    billed = [json.loads(message.value or b"") for message in invoices]
    assert sorted(billed, key=lambda invoice: invoice["number"]) == [
        {"number": number, "cents": number % 3 * 350} for number in numbers
    ]


def test_orders_become_invoices_across_restarts_and_instances(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        with Admin(broker.bootstrap) as admin:
            admin.create_topics([NewTopic("orders", 4), NewTopic("invoices", 1)])
        send_orders(broker, range(20))
        with Application("billing", broker.bootstrap, log=tmp_path / "app1") as one:
            gather(broker.bootstrap, "invoices", 20, [one])
        broker.kill_and_restart()
        send_orders(broker, range(20, 40))
        with Application("billing", broker.bootstrap, log=tmp_path / "app1") as one:
            gather(broker.bootstrap, "invoices", 40, [one])
            with Application("billing", broker.bootstrap, log=tmp_path / "app2") as two:
                wait_for_members(broker.bootstrap, "billing", 2)
                send_orders(broker, range(40, 80))
                invoices = gather(broker.bootstrap, "invoices", 80, [one, two])
        assert_each_is_billed_once(invoices, range(80))
        assert broker.complaints() == []
        assert "Processed" in (tmp_path / "app2").read_text()
