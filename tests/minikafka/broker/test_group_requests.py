from __future__ import annotations

import pytest

from minikafka.broker.context import RequestContext
from minikafka.broker.group_requests import check_group_id, client_of
from minikafka.coordinator.group.values import Client
from minikafka.errors import InvalidGroupId
from minikafka.net.handler import Address, ConnectionInfo


def test_a_client_is_known_by_its_name_and_its_address_with_a_slash() -> None:
    connection = ConnectionInfo(1, Address("10.0.0.9", 5000), Address("10.0.0.1", 9092), "PLAINTEXT")
    assert client_of(RequestContext(connection, 0, "till", 1, 0.0)) == Client("till", "/10.0.0.9")


def test_a_group_has_a_name() -> None:
    check_group_id("billing")
    with pytest.raises(InvalidGroupId):
        check_group_id("")
