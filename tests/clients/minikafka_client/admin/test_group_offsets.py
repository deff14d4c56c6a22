from __future__ import annotations

import pytest

from minikafka.errors import (
    GroupIdNotFound,
    GroupSubscribedToTopic,
    UnknownMemberId,
    UnknownTopicOrPartition,
)
from minikafka_client import AsyncAdmin, AsyncConsumer, NewTopic, OffsetAndMetadata, TopicPartition

ORDERS = [TopicPartition("orders", 0), TopicPartition("orders", 1)]


@pytest.fixture
async def admin(admin: AsyncAdmin) -> AsyncAdmin:
    """An admin of a broker that has a topic with two partitions."""
    await admin.create_topics([NewTopic("orders", num_partitions=2)])
    return admin


async def test_offsets_are_set_read_and_forgotten(admin: AsyncAdmin) -> None:
    assert await admin.list_group_offsets("billing") == {}
    await admin.alter_group_offsets("billing", {ORDERS[0]: 3, ORDERS[1]: OffsetAndMetadata(7, "by hand", 2)})
    assert await admin.list_group_offsets("billing") == {
        ORDERS[0]: OffsetAndMetadata(3),
        ORDERS[1]: OffsetAndMetadata(7, "by hand", 2),
    }
    assert list(await admin.list_group_offsets("billing", ORDERS[:1])) == ORDERS[:1]
    await admin.delete_group_offsets("billing", ORDERS[:1])
    assert list(await admin.list_group_offsets("billing", ORDERS)) == ORDERS[1:]
    await admin.alter_group_offsets("billing", {})
    await admin.alter_group_offsets("shipping", {})
    assert [group.group_id for group in await admin.list_groups()] == ["billing"]


async def test_a_consumer_goes_on_from_what_was_set(admin: AsyncAdmin, bootstrap: str) -> None:
    await admin.alter_group_offsets("billing", {ORDERS[0]: 0, ORDERS[1]: OffsetAndMetadata(0, "again")})
    async with AsyncConsumer(bootstrap, group_id="billing") as consumer:
        committed = await consumer.committed(ORDERS)
    assert committed == {ORDERS[0]: OffsetAndMetadata(0), ORDERS[1]: OffsetAndMetadata(0, "again")}


async def test_offsets_of_a_group_in_use_are_its_members_business(admin: AsyncAdmin, bootstrap: str) -> None:
    async with AsyncConsumer(bootstrap, topics=["orders"], group_id="billing") as consumer:
        while not consumer.assignment:
            await consumer.poll(timeout_ms=10)
        await consumer.commit({ORDERS[0]: 0})
        with pytest.raises(UnknownMemberId, match="'billing' has members; stop them"):
            await admin.alter_group_offsets("billing", {ORDERS[0]: 0})
        with pytest.raises(GroupSubscribedToTopic, match="orders-0"):
            await admin.delete_group_offsets("billing", ORDERS[:1])


async def test_what_does_not_exist_is_an_error(admin: AsyncAdmin) -> None:
    with pytest.raises(UnknownTopicOrPartition, match="orders-2"):
        await admin.alter_group_offsets("billing", {TopicPartition("orders", 2): 0})
    with pytest.raises(GroupIdNotFound, match="'shipping'"):
        await admin.delete_group_offsets("shipping", ORDERS)
    await admin.alter_group_offsets("billing", {ORDERS[0]: 0})
    with pytest.raises(UnknownTopicOrPartition, match="orders-2"):
        await admin.delete_group_offsets("billing", [TopicPartition("orders", 2)])


async def test_an_admin_that_was_not_entered_finds_the_coordinator(admin: AsyncAdmin, bootstrap: str) -> None:
    other = AsyncAdmin(bootstrap)
    await other.alter_group_offsets("billing", {ORDERS[0]: 1})
    await other.close()
    other = AsyncAdmin(bootstrap)
    assert await other.list_group_offsets("billing") == {ORDERS[0]: OffsetAndMetadata(1)}
    await other.close()
