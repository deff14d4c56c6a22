import socket
import threading

import pytest

from minikafka.broker.broker import Broker
from minikafka.config.definition import ConfigError
from minikafka.errors import StorageError
from minikafka.testing.thread import BrokerThread


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name == "minikafka-broker"]


def test_it_serves_from_start_to_stop(tmp_path):
    broker = BrokerThread(tmp_path / "data", {})
    address = broker.start()
    with socket.create_connection(address):
        assert threads() == ["minikafka-broker"]
    broker.stop()
    assert threads() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    broker.stop()


def test_it_starts_again_where_it_was(tmp_path):
    broker = BrokerThread(tmp_path / "data", {})
    first = broker.start()
    broker.stop()
    assert broker.start(first.port) == first
    broker.stop()


def test_a_wrong_setting_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"num\.partitions"):
        BrokerThread(tmp_path / "data", {"num.partition": "4"}).start()
    assert threads() == []


def test_a_start_that_fails_is_told_and_can_be_tried_again(tmp_path):
    first, second = BrokerThread(tmp_path / "data", {}), BrokerThread(tmp_path / "data", {})
    first.start()
    with pytest.raises(StorageError):
        second.start()
    second.stop()
    first.stop()
    second.start()
    second.stop()


def test_a_stop_that_fails_is_told(tmp_path, monkeypatch):
    stop = Broker.stop

    async def fail(self):
        await stop(self)
        raise OSError("no more")

    broker = BrokerThread(tmp_path / "data", {})
    broker.start()
    monkeypatch.setattr(Broker, "stop", fail)
    with pytest.raises(OSError, match="no more"):
        broker.stop()
    assert threads() == []
