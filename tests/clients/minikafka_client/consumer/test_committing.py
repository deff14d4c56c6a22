from __future__ import annotations

import pytest

from minikafka.types import TopicPartition
from minikafka_client import AsyncConsumer, OffsetAndMetadata
from tests.clients.support.reading import FIRST, SECOND, Make, numbers, send, take
from tests.support.broker import RunningBroker


async def test_any_offset_can_be_committed_with_a_note(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)
    async with consumer(topics=["orders"], enable_auto_commit=False) as before:
        await take(before, 1)
        await before.commit({FIRST: OffsetAndMetadata(7, "by hand"), SECOND: 0})
        found = await before.committed([FIRST, SECOND, TopicPartition("orders", 2)])
        assert found[FIRST] == OffsetAndMetadata(7, "by hand")
        assert found[TopicPartition("orders", 2)] is None
    async with consumer(topics=["orders"]) as after:
        assert await take(after, 1) == [b"7"]


async def test_commits_are_carried_out_in_the_order_in_which_they_were_asked_for(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)
    async with consumer(topics=["orders"], enable_auto_commit=False) as working:
        await take(working, 1)
        earlier = [working.commit_async({FIRST: offset}) for offset in range(1, 6)]
        await working.commit({FIRST: 9})
        assert all(commit.done() for commit in earlier)
        assert (await working.committed([FIRST]))[FIRST] == OffsetAndMetadata(9)


async def test_closing_waits_for_commits_that_were_not_waited_for(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)
    async with consumer(topics=["orders"], enable_auto_commit=False) as before:
        await take(before, 5)
        before.commit_async()
    async with consumer(topics=["orders"]) as after:
        assert await take(after, 1) == [b"5"]


async def test_a_group_can_be_used_to_remember_offsets_of_assigned_partitions(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)
    async with consumer() as before:
        before.assign([FIRST])
        await take(before, 4)
        before.assign([SECOND])
    async with consumer() as after:
        after.assign([FIRST])
        assert await take(after, 1) == [b"4"]
        assert after.group_metadata.generation_id == -1


async def test_offsets_need_a_group(broker: RunningBroker) -> None:
    async with AsyncConsumer(broker.bootstrap) as alone:
        with pytest.raises(ValueError, match="no group_id"):
            await alone.commit()
        with pytest.raises(ValueError, match="no group_id"):
            await alone.committed([FIRST])
        with pytest.raises(ValueError, match="no group_id"):
            alone.group_metadata  # noqa: B018 - asking for it is the point
