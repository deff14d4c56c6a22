"""DeleteTopics over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from minikafka.types import ZERO_UUID, new_uuid
from tests.support.broker import RunningBroker, running_broker
from tests.support.control_plane import ControlPlaneClient, administering, versions_of


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with running_broker(tmp_path / "data") as running:
        yield running


@pytest.fixture
async def client(broker: RunningBroker) -> AsyncIterator[ControlPlaneClient]:
    async with administering(broker) as connected:
        yield connected


def partition_directories(data_dir: Path) -> set[str]:
    return {path.name for path in data_dir.iterdir() if path.is_dir()}


@pytest.mark.parametrize("version", versions_of(ApiKey.DELETE_TOPICS))
async def test_the_files_are_gone_when_the_answer_is_out(
    broker: RunningBroker, client: ControlPlaneClient, version: int
) -> None:
    await client.create_topic("orders", 2)
    await client.create_topic("kept")
    await client.produce("orders")
    (deleted,) = await client.delete("orders", version=version)
    assert (deleted.name, deleted.error_code, deleted.error_message) == ("orders", 0, None)
    assert partition_directories(broker.data_dir) == {"kept-0"}
    assert await client.topic_names() == {"kept"}
    assert (await client.produce("orders")).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


async def test_a_topic_is_deleted_by_its_id(client: ControlPlaneClient) -> None:
    topic_id = await client.create_topic("orders")
    (deleted,) = await client.delete(topic_id)
    assert (deleted.name, deleted.topic_id, deleted.error_code) == ("orders", topic_id, 0)
    assert await client.topic_names() == set()


async def test_a_topic_that_is_made_again_has_another_id_and_no_records(client: ControlPlaneClient) -> None:
    first = await client.create_topic("orders")
    await client.produce("orders")
    await client.delete("orders")
    assert await client.create_topic("orders") != first
    assert (await client.produce("orders")).base_offset == 0
    (stale,) = await client.delete(first)
    assert (stale.name, stale.topic_id, stale.error_code) == (None, first, ErrorCode.UNKNOWN_TOPIC_ID)
    assert await client.topic_names() == {"orders"}


@pytest.mark.parametrize("version", versions_of(ApiKey.DELETE_TOPICS))
async def test_a_topic_that_is_not_there_is_an_error_of_its_own(client: ControlPlaneClient, version: int) -> None:
    await client.create_topic("orders")
    *absent, deleted = await client.delete("absent", "..", "../../etc", "", "a\0b", "orders", version=version)
    assert [result.error_code for result in absent] == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 5
    assert deleted.error_code == 0


async def test_a_request_that_contradicts_itself_deletes_nothing(client: ControlPlaneClient) -> None:
    topic_id = await client.create_topic("orders")
    for states in (
        [DeleteTopicState(name=None, topic_id=ZERO_UUID)],
        [DeleteTopicState(name="orders", topic_id=topic_id)],
        [DeleteTopicState(name="orders", topic_id=ZERO_UUID)] * 2,
        [DeleteTopicState(name=None, topic_id=topic_id)] * 2,
        [DeleteTopicState(name="orders", topic_id=ZERO_UUID), DeleteTopicState(name=None, topic_id=topic_id)],
    ):
        answer = await client.ask(DeleteTopicsRequest(topics=states, timeout_ms=1000), 6)
        assert {result.error_code for result in answer.responses} == {ErrorCode.INVALID_REQUEST}
    assert await client.topic_names() == {"orders"}


async def test_an_unknown_id_is_answered_without_a_name(client: ControlPlaneClient) -> None:
    unknown = new_uuid()
    (result,) = await client.delete(unknown)
    assert (result.name, result.topic_id, result.error_code) == (None, unknown, ErrorCode.UNKNOWN_TOPIC_ID)


async def test_nothing_is_deleted_where_that_is_switched_off(tmp_path: Path) -> None:
    async with (
        running_broker(tmp_path / "other", "delete.topic.enable=false") as broker,
        administering(broker) as client,
    ):
        await client.create_topic("orders")
        for version in versions_of(ApiKey.DELETE_TOPICS):
            (result,) = await client.delete("orders", version=version)
            expected = ErrorCode.TOPIC_DELETION_DISABLED if version >= 3 else ErrorCode.INVALID_REQUEST
            assert result.error_code == expected
        assert await client.topic_names() == {"orders"}
