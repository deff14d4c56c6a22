from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from minikafka.broker.context import RequestContext
from minikafka.broker.handlers.find_coordinator import FindCoordinatorHandler, KeyType
from minikafka.errors import ErrorCode
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.protocol.codec import decode, encode
from minikafka.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from tests.support.broker import running_broker
from tests.support.control_plane import administering

VERSIONS = FindCoordinatorRequest.VALID
KEY_TYPES = [KeyType.GROUP, KeyType.TRANSACTION]


class Topic:
    """Broker 7 coordinates whatever is kept in it."""

    partition_count = 1

    async def create(self) -> None:
        raise AssertionError("it is there")

    def coordinator_of(self, key: str) -> int:
        return 7


def context(version: int) -> RequestContext:
    client = ConnectionInfo(1, Address("10.0.0.9", 5000), Address("10.0.0.1", 9092), "PLAINTEXT")
    return RequestContext(client, version, "test", 1, 0.0)


def ask(version: int, *keys: str, key_type: int = KeyType.GROUP, alive: bool = True) -> FindCoordinatorResponse:
    """What the client reads: the request and the response both go through the codec of ``version``."""
    handler = FindCoordinatorHandler(
        {KeyType.GROUP: Topic(), KeyType.TRANSACTION: Topic()},
        lambda broker_id, info: info.local if alive and broker_id == 7 else None,
    )
    if version < 4:
        request = FindCoordinatorRequest(key=keys[0], key_type=key_type)
    else:
        request = FindCoordinatorRequest(coordinator_keys=list(keys), key_type=key_type)
    sent = bytearray()
    encode(request, version, sent)
    answered = bytearray()
    answer = handler(decode(FindCoordinatorRequest, version, bytes(sent)), context(version))
    assert isinstance(answer, FindCoordinatorResponse)
    encode(answer, version, answered)
    return decode(FindCoordinatorResponse, version, bytes(answered))


@pytest.mark.parametrize("version", [v for v in VERSIONS if v < 4])
def test_one_key_is_answered_with_this_broker_at_the_address_the_client_knows(version: int) -> None:
    found = ask(version, "group")
    assert (found.error_code, found.node_id, found.host, found.port) == (0, 7, "10.0.0.1", 9092)


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("version", [v for v in VERSIONS if v >= 4])
def test_each_of_many_keys_is_answered_with_this_broker(version: int, key_type: KeyType) -> None:
    found = ask(version, "a", "b", "", key_type=key_type)
    assert [(c.key, c.error_code, c.node_id, c.host, c.port) for c in found.coordinators] == [
        (key, 0, 7, "10.0.0.1", 9092) for key in ("a", "b", "")
    ]


@pytest.mark.parametrize("version", [v for v in VERSIONS if 1 <= v < 4])
def test_transactional_ids_are_known_from_version_1(version: int) -> None:
    assert ask(version, "id", key_type=KeyType.TRANSACTION).node_id == 7


@pytest.mark.parametrize("key_type", [KeyType.SHARE, 3, -1, 127])
@pytest.mark.parametrize("version", [v for v in VERSIONS if v >= 1])
def test_a_kind_of_key_that_is_not_served_is_an_invalid_request(version: int, key_type: int) -> None:
    found = ask(version, "key", key_type=key_type)
    error_code, node_id = (
        (found.error_code, found.node_id)
        if version < 4
        else (found.coordinators[0].error_code, found.coordinators[0].node_id)
    )
    assert (error_code, node_id) == (ErrorCode.INVALID_REQUEST, -1)


def test_no_keys_are_answered_with_no_coordinators() -> None:
    assert ask(4).coordinators == []


def test_a_broker_that_is_not_registered_is_not_available() -> None:
    assert ask(3, "group", alive=False).error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert ask(6, "group", alive=False).coordinators[0].error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_first_question_brings_the_topic_of_groups_into_being(tmp_path: Path, version: int) -> None:
    async with running_broker(tmp_path / "data") as broker, administering(broker) as client:
        assert await client.topic_names() == set()
        request = FindCoordinatorRequest(key="g") if version < 4 else FindCoordinatorRequest(coordinator_keys=["g"])
        answer = await client.ask(request, version)
        found = answer if version < 4 else answer.coordinators[0]
        assert (found.error_code, found.node_id, found.port) == (0, 1, broker.address.port)
        (topic,) = (await client.metadata(["__consumer_offsets"])).topics
        assert (topic.error_code, topic.is_internal, len(topic.partitions)) == (0, True, 50)
        configs = await client.describe_config(2, "__consumer_offsets", "cleanup.policy", "segment.bytes")
        assert {key: config.value for key, config in configs.items()} == {
            "cleanup.policy": "compact",
            "segment.bytes": "104857600",
        }


async def test_many_first_questions_at_once_are_all_answered(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as broker, administering(broker) as client:
        request = FindCoordinatorRequest(coordinator_keys=["a", "b"])
        answers = await asyncio.gather(*(client.ask(request, 4) for _ in range(5)))
        assert [found.error_code for answer in answers for found in answer.coordinators] == [0] * 10


async def test_when_the_topic_cannot_be_made_there_is_no_coordinator(tmp_path: Path) -> None:
    setting = "offsets.topic.replication.factor=3"
    async with running_broker(tmp_path / "data", setting) as broker, administering(broker) as client:
        (found,) = (await client.ask(FindCoordinatorRequest(coordinator_keys=["a"]), 4)).coordinators
        assert found.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE


async def test_the_first_transactional_id_brings_the_topic_of_transactions_into_being(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "data") as broker, administering(broker) as client:
        request = FindCoordinatorRequest(coordinator_keys=["a"], key_type=KeyType.TRANSACTION)
        (found,) = (await client.ask(request, 4)).coordinators
        assert (found.error_code, found.node_id) == (0, 1)
        assert await client.topic_names() == {"__transaction_state"}
        (topic,) = (await client.metadata(["__transaction_state"])).topics
        assert (topic.error_code, topic.is_internal, len(topic.partitions)) == (0, True, 50)
        configs = await client.describe_config(2, "__transaction_state", "cleanup.policy", "compression.type")
        assert {key: config.value for key, config in configs.items()} == {
            "cleanup.policy": "compact",
            "compression.type": "uncompressed",
        }
