"""What a group does for its members is the same by both protocols, against a real broker."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from minikafka_client import (
    AsyncAdmin,
    AsyncConsumer,
    CommitFailed,
    NewTopic,
    NoOffsetForPartition,
    OffsetAndMetadata,
    RebalanceListener,
)
from minikafka_client.consumer.group.listener import Partitions
from minikafka_client.consumer.options import GroupProtocol
from tests.clients.minikafka_client.consumer.conftest import QUICK_GROUPS
from tests.clients.support.reading import (
    FIRST,
    PARTITIONS,
    PATIENCE_S,
    QUICK,
    SECOND,
    Make,
    Reading,
    numbers,
    reading,
    send,
    take,
    until_all,
    until_shared,
)
from tests.support.broker import RunningBroker, quiet_port, running_broker
from tests.support.group_client import GroupClient, group_client

EVERYTHING = set(range(PARTITIONS))


async def evict(operator: GroupClient, consumer: AsyncConsumer) -> None:
    """Say to the coordinator in the member's name that it leaves."""
    me = consumer.group_metadata
    if (await operator.leave("billing", me.member_id)).members[0].error_code:
        await operator.consumer_heartbeat("billing", me.member_id, -1)


async def test_members_share_the_partitions_and_each_message_is_read_once(consumer: Make) -> None:
    async with reading(consumer()) as one, reading(consumer()) as other:
        await until_shared([one, other], PARTITIONS)
        assert len(one.has) == len(other.has) == 2
        await send(consumer.bootstrap, numbers(100))
        await until_all(one, other, are=lambda: len(one.values) + len(other.values) >= 100)
        assert sorted(one.values + other.values) == sorted(numbers(100))


async def test_who_leaves_leaves_its_partitions_to_the_others_and_they_go_on_where_it_was(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(40))
    async with reading(consumer()) as stays:
        async with reading(consumer()) as leaves:
            await until_shared([stays, leaves], PARTITIONS)
            await until_all(stays, leaves, are=lambda: len(stays.values) + len(leaves.values) >= 40)
            await leaves.stop()
        await stays.until(lambda: stays.has == EVERYTHING)
        await send(consumer.bootstrap, [b"after"])
        await stays.until(lambda: b"after" in stays.values)
        assert sorted(stays.values + leaves.values) == sorted([*numbers(40), b"after"])


async def test_a_group_goes_on_where_it_committed(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)
    async with consumer(topics=["orders"], enable_auto_commit=False) as before:
        assert await take(before, 4) == numbers(4)
        await before.commit()
        await take(before, 3)
        assert await before.committed([FIRST, SECOND]) == {FIRST: OffsetAndMetadata(4), SECOND: OffsetAndMetadata(0)}
    async with consumer(topics=["orders"]) as after:
        assert await take(after, 6) == numbers(10)[4:]


async def test_closing_commits_what_was_handed_out(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)
    async with consumer(topics=["orders"]) as before:
        await take(before, 3)
    async with consumer(topics=["orders"]) as after:
        assert await take(after, 1) == [b"3"]
        await after.poll(max_records=2)
    async with consumer(topics=["orders"]) as again:
        assert await take(again, 1) == [b"6"]


async def test_a_message_that_ends_the_program_by_an_exception_is_brought_again(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)
    with pytest.raises(ZeroDivisionError):
        async with consumer(topics=["orders"]) as before:
            await take(before, 3)
            raise ZeroDivisionError
    async with consumer(topics=["orders"]) as after:
        assert await take(after, 1) == [b"2"]


async def test_what_was_processed_is_committed_regularly(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)
    async with (
        consumer(topics=["orders"], auto_commit_interval_ms=10) as working,
        AsyncConsumer(consumer.bootstrap, group_id="billing") as onlooker,
    ):
        await take(working, 5)
        committed: OffsetAndMetadata | None = None
        async with asyncio.timeout(PATIENCE_S):
            while committed is None or committed.offset == 0:
                committed = (await onlooker.committed([FIRST]))[FIRST]
        assert committed.offset == 4, "the fifth message is still in hand"


async def test_a_commit_after_the_group_went_on_fails_and_the_next_poll_joins_again(
    consumer: Make, broker: RunningBroker
) -> None:
    await send(consumer.bootstrap, numbers(4), partition=0)
    async with consumer(enable_auto_commit=False) as evicted, group_client(broker) as operator:
        program = Reading(evicted)
        evicted.subscribe(["orders"], program)
        await program.until(lambda: len(program.values) == 4)
        await program.stop()
        await evict(operator, evicted)
        with pytest.raises(CommitFailed, match="billing"):
            await evicted.commit()
        program.start()
        await program.until(lambda: len(program.values) == 8)  # again, for nothing was committed
        assert program.told == [("assigned", EVERYTHING), ("lost", EVERYTHING), ("assigned", EVERYTHING)]
        await evicted.commit()
        await program.stop()


async def test_a_program_that_does_not_poll_leaves_and_joins_again_when_it_does(consumer: Make) -> None:
    async with reading(consumer(max_poll_interval_ms=300)) as busy, reading(consumer()) as other:
        await until_shared([busy, other], PARTITIONS)
        had = busy.has
        await busy.stop()
        await other.until(lambda: other.has == EVERYTHING)
        busy.start()
        await until_shared([busy, other], PARTITIONS)
        assert ("lost", had) in busy.told


async def test_the_program_is_told_what_comes_and_what_goes(consumer: Make) -> None:
    async with reading(consumer(partition_assignment_strategy=["range"])) as one:
        await one.until(lambda: one.has == EVERYTHING)
        assert one.told == [("assigned", EVERYTHING)]
        async with reading(consumer(partition_assignment_strategy=["range"])) as other:
            await until_shared([one, other], PARTITIONS)
            if consumer.protocol == "classic":
                assert one.told[1:] == [("revoked", EVERYTHING), ("assigned", one.has)]
            else:
                assert one.told[1] == ("revoked", other.has)
        await one.until(lambda: one.has == EVERYTHING)


async def test_a_callback_may_seek_and_commit_and_may_be_async(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)

    class Program(RebalanceListener):
        async def on_partitions_assigned(self, partitions: Partitions) -> None:
            await asyncio.sleep(0)
            working.seek(FIRST, 6)

        async def on_partitions_revoked(self, partitions: Partitions) -> None:
            await working.commit({FIRST: 8})

    async with consumer(enable_auto_commit=False) as working:
        working.subscribe(["orders"], Program())
        assert await take(working, 1) == [b"6"]
    async with consumer(topics=["orders"]) as after:
        assert await take(after, 1) == [b"8"]


async def test_what_a_callback_raises_the_poll_raises_and_the_consumer_goes_on(consumer: Make) -> None:
    await send(consumer.bootstrap, [b"x"], partition=0)

    def fail(_: Partitions) -> None:
        raise ValueError("in the callback")

    async with consumer(topics=["orders"], on_partitions_assigned=fail) as working:
        with pytest.raises(ValueError, match="in the callback"):
            await take(working, 1)
        assert await take(working, 1) == [b"x"]


async def test_a_callback_cannot_poll(consumer: Make) -> None:
    async def poll(_: Partitions) -> None:
        await working.poll()

    async with consumer(topics=["orders"], on_partitions_assigned=poll) as working:
        with pytest.raises(RuntimeError, match="callback"):
            await take(working, 1)


async def test_a_pattern_takes_in_topics_that_appear_later(consumer: Make) -> None:
    async with (
        consumer(topic_pattern="ord.*", metadata_max_age_ms=20) as working,
        AsyncAdmin(consumer.bootstrap) as admin,
    ):
        program = Reading(working)
        await program.until(lambda: program.has == EVERYTHING)
        await admin.create_topics([NewTopic("ordinary", 1), NewTopic("other", 1)])
        await send(consumer.bootstrap, [b"new"], "ordinary")
        await send(consumer.bootstrap, [b"not wanted"], "other")
        await program.until(lambda: b"new" in program.values)
        assert working.subscription == {"orders", "ordinary"}
        assert b"not wanted" not in program.values
        await program.stop()


async def test_another_subscription_takes_the_place_of_the_first(consumer: Make) -> None:
    async with AsyncAdmin(consumer.bootstrap) as admin:
        await admin.create_topics([NewTopic("bills", 2)])
    await send(consumer.bootstrap, [b"bill"], "bills")
    async with reading(consumer()) as program:
        await program.until(lambda: program.has == EVERYTHING)
        program.consumer.subscribe(["bills"], program)
        await program.until(lambda: program.values == [b"bill"])
        assert {where.topic for where in program.consumer.assignment} == {"bills"}


async def test_unsubscribing_leaves_the_group_and_one_may_subscribe_again(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(6), partition=0)
    async with consumer(topics=["orders"]) as working:
        await take(working, 2)
        await working.unsubscribe()
        assert not working.assignment
        assert await working.poll(timeout_ms=1) == []
        working.subscribe(re.compile("orders"))
        assert await take(working, 1) == [b"2"]


async def test_partitions_added_later_are_shared_and_read_from_their_beginning(consumer: Make) -> None:
    async with reading(consumer(metadata_max_age_ms=20, auto_offset_reset="latest")) as program:
        await program.until(lambda: program.has == EVERYTHING)
        async with AsyncAdmin(consumer.bootstrap) as admin:
            await admin.create_partitions({"orders": PARTITIONS + 1})
        await send(consumer.bootstrap, [b"first"], partition=PARTITIONS)
        await program.until(lambda: program.values == [b"first"])


async def test_a_member_that_is_paused_stays_a_member_and_stays_paused_through_a_rebalance(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(8))
    async with reading(consumer()) as one:
        await one.until(lambda: len(one.values) == 8)
        one.consumer.pause(*one.consumer.assignment)
        async with reading(consumer()) as other:
            await until_shared([one, other], PARTITIONS)
            assert one.consumer.paused == one.consumer.assignment


async def test_without_a_commit_and_without_auto_offset_reset_the_start_is_an_error(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(3), partition=0)
    async with consumer(topics=["orders"], auto_offset_reset="none") as working:
        with pytest.raises(NoOffsetForPartition, match="orders-"):
            await take(working, 1)
        working.seek_to_beginning()
        assert await take(working, 3) == numbers(3)


async def test_a_group_that_has_committed_nothing_says_where_it_starts_and_what_it_skips(
    consumer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    await send(consumer.bootstrap, numbers(5), partition=0)
    with caplog.at_level(logging.WARNING):
        async with consumer(topics=["orders"], auto_offset_reset="latest") as working:
            await working.poll(timeout_ms=1)
            async with asyncio.timeout(PATIENCE_S):
                while not working.assignment:
                    await working.poll(timeout_ms=1)
            assert await working.position(FIRST) == 5
    (said,) = [message for message in caplog.messages if "older messages" in message]
    assert "no committed offset for group billing on orders, starting at LATEST" in said
    assert "5 older messages are skipped" in said


async def test_who_subscribed_cannot_assign(consumer: Make) -> None:
    async with consumer(topics=["orders"]) as working:
        with pytest.raises(RuntimeError, match="unsubscribe"):
            working.assign([FIRST])


async def test_lag_is_that_of_the_group(consumer: Make) -> None:
    await send(consumer.bootstrap, numbers(10), partition=0)
    async with consumer(topics=["orders"]) as working:
        await take(working, 4)
        assert working.lag(FIRST) == 6


async def test_a_topic_that_is_missing_is_said_to_be_once_and_waited_for(
    consumer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"allow_auto_create_topics": False, "metadata_max_age_ms": 20}
    async with reading(consumer(**options), ["later"]) as program, AsyncAdmin(consumer.bootstrap) as admin:
        await program.until(lambda: ("assigned", set()) in program.told)
        await admin.create_topics([NewTopic("later", 1)])
        await send(consumer.bootstrap, [b"x"], "later")
        await program.until(lambda: program.values == [b"x"])
    assert [message for message in caplog.messages if "no topic" in message] == [
        "consumer: there is no topic later; it will be read as soon as there is"
    ]


async def test_a_group_goes_on_when_its_broker_starts_again(tmp_path: Path, protocol: GroupProtocol) -> None:
    port = quiet_port(Random())
    settings = [*QUICK_GROUPS, f"listeners=PLAINTEXT://127.0.0.1:{port}"]
    bootstrap = f"127.0.0.1:{port}"
    options: Any = {**QUICK, "group_protocol": protocol, "auto_commit_interval_ms": 10, "retry_backoff_max_ms": 50}
    async with running_broker(tmp_path, *settings), AsyncAdmin(bootstrap) as admin:
        await admin.create_topics([NewTopic("orders", PARTITIONS)])
        await send(bootstrap, numbers(40))
        one, two = (AsyncConsumer(bootstrap, group_id="billing", **options) for _ in range(2))
        async with AsyncExitStack() as stack:
            members = [await stack.enter_async_context(reading(consumer)) for consumer in (one, two)]
            await until_shared(members, PARTITIONS)
            await until_all(*members, are=lambda: sum(len(member.values) for member in members) >= 40)
            going_on = stack.pop_all()
    async with running_broker(tmp_path, *settings), going_on:
        await send(bootstrap, [b"after"] * 40)
        await until_all(*members, are=lambda: sum(member.values.count(b"after") for member in members) >= 40)
        await until_shared(members, PARTITIONS)
    seen = [value for member in members for value in member.values]
    assert set(seen) == {*numbers(40), b"after"}
