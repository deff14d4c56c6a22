"""Groups that cannot be, or that nobody needs: an error for each, and everybody else is served (F18, F21, F22)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from minikafka.errors import ErrorCode
from minikafka.net.connection import Connection
from tests.abuse.healthy import BRIEF_S, MIB, TOPIC, healthy_client
from tests.abuse.test_names import STRANGE_NAMES
from tests.abuse.victim import Victim
from tests.support.group_client import GroupClient, subscription

LARGEST_INT = 2**31 - 1
MANY_MEMBERS = 10_000
MANY_CONSUMERS = 200


@asynccontextmanager
async def member(victim: Victim) -> AsyncIterator[GroupClient]:
    """A client of groups."""
    connection = await Connection.open(*victim.address, client_id="test")
    try:
        client = GroupClient(connection)
        await client.find_coordinator("any")
        yield client
    finally:
        connection.close()


@pytest.mark.parametrize("name", STRANGE_NAMES, ids=lambda name: repr(name[:20]))
async def test_f18_strange_names_of_groups_and_members_are_never_a_path(victim: Victim, name: str) -> None:
    async with healthy_client(victim) as _, member(victim) as client:
        before = victim.files()
        await client.commit(name, {0: 1}, topic=TOPIC, metadata=name)
        await client.join_twice(name)
        await client.join("group", name)
        joined = await client.join("instances", instance_id=name)
        await client.leave("instances", joined.member_id)
        await client.consumer_join(name, "me", TOPIC)
        await client.consumer_join("consumers", name, name, instance_id=name, rack_id=name)
        await client.consumer_join("consumers", "me", subscribed_topic_regex=name)
        await client.consumer_describe(name, "consumers")
        await client.leave("group", name)
        await client.offset(name, topic=name)
        assert victim.files() == before


@pytest.mark.parametrize("session_timeout_ms", [-(2**31), -1, 0, 1, 5_999, 1_800_001, LARGEST_INT])
async def test_f21_sessions_that_cannot_be_are_refused(victim: Victim, session_timeout_ms: int) -> None:
    async with healthy_client(victim) as _, member(victim) as client:
        refused = await client.join("sessions", session_timeout_ms=session_timeout_ms)
        assert refused.error_code == ErrorCode.INVALID_SESSION_TIMEOUT


@pytest.mark.parametrize("rebalance_timeout_ms", [-(2**31), -2, 0, LARGEST_INT])
async def test_f21_members_may_take_any_time_to_rebalance(victim: Victim, rebalance_timeout_ms: int) -> None:
    async with healthy_client(victim) as healthy, member(victim) as client:
        joined = await client.consumer_join("slow", "me", TOPIC, rebalance_timeout_ms=rebalance_timeout_ms)
        assert joined.error_code == 0
        assert (await client.consumer_heartbeat("slow", "me", -1)).error_code == 0
        assert healthy.slowest_s < BRIEF_S


async def test_f21_a_member_that_has_very_much_to_say_is_refused_in_the_end(victim: Victim) -> None:
    async with healthy_client(victim, growth_mib=120) as healthy, member(victim) as client:
        protocols = {"range": subscription(TOPIC)["range"] + bytes(10 * MIB)}
        joined = await client.join_twice("wordy", protocols=protocols)
        assert joined.error_code == 0
        synced = await client.sync("wordy", joined, {joined.member_id: b""})
        assert synced.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
        assert healthy.slowest_s < BRIEF_S
        await client.leave("wordy", joined.member_id)


async def test_f21_very_many_clients_that_never_come_back_cost_little(victim: Victim) -> None:
    async with healthy_client(victim) as healthy, member(victim) as client:
        answers = await asyncio.gather(*(client.join("crowd") for _ in range(MANY_MEMBERS)))
        assert {answer.error_code for answer in answers} == {ErrorCode.MEMBER_ID_REQUIRED}
        assert healthy.slowest_s < BRIEF_S


async def test_f21_many_consumers_hold_nobody_up(victim: Victim) -> None:
    async with healthy_client(victim) as healthy, member(victim) as client:
        joining = (client.consumer_join("crowd-848", f"m-{number}", TOPIC) for number in range(MANY_CONSUMERS))
        assert {answer.error_code for answer in await asyncio.gather(*joining)} == {0}
        leaving = (client.consumer_heartbeat("crowd-848", f"m-{number}", -1) for number in range(MANY_CONSUMERS))
        assert {answer.error_code for answer in await asyncio.gather(*leaving)} == {0}
        assert healthy.slowest_s < BRIEF_S


@pytest.mark.parametrize("length", [4_097, 32_767])
async def test_f22_too_much_metadata_of_an_offset_is_refused(victim: Victim, length: int) -> None:
    async with healthy_client(victim) as _, member(victim) as client:
        codes = await client.commit("notes", {0: 1}, topic=TOPIC, metadata="x" * length)
        assert codes == {0: ErrorCode.OFFSET_METADATA_TOO_LARGE}
        assert await client.offset("notes", topic=TOPIC) == -1
