"""A broker that is killed again and again under groups at work: what they committed stays, and they go on.

``CRASH_KILLS`` asks for more kills than the 25 of every run, ``CRASH_SEED`` for others.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import pytest

from minikafka.errors import ErrorCode
from minikafka.net.connection import Connection
from minikafka.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchResponseGroup,
)
from minikafka.types import TopicPartition
from minikafka_client.consumer.options import GroupProtocol
from tests.crash.copies import Copy
from tests.crash.group_history import History, LookBegun, Processed, Seen, broken_promises, count_duplicates
from tests.crash.group_load import PLACES, TOPIC, WAIT_S, AioMember, ConfluentMember, Group, Producing, SdkMember
from tests.crash.load import Journal
from tests.support.broker import ROOT, SpawnedBroker, quiet_port, spawned_broker
from tests.support.data_plane import DataPlaneClient

KILLS = int(os.environ.get("CRASH_KILLS", "25"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))

_SETTINGS = (
    "log.flush.offset.checkpoint.interval.ms=50",
    "offsets.topic.segment.bytes=16384",
    "group.consumer.heartbeat.interval.ms=300",
    "group.consumer.min.heartbeat.interval.ms=300",
)
_FAILPOINTS = ("log.after_append", "flush.before_sync", "flush.after_sync")

_ANSWERS_BEFORE_IT_WRITES = """
import asyncio
from minikafka.coordinator.state_log import StateLog

append = StateLog.append

def append_later(self, records, producer=None):
    asyncio.get_running_loop().call_later(0.05, append, self, records, producer)

StateLog.append = append_later
"""

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(60 + 8 * KILLS)]


@dataclass
class Run:
    """What became of some groups whose broker was killed, again and again."""

    groups: Sequence[Group]
    journal: Journal
    starts_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def look_for_faults(self) -> None:
        """Check what every group has seen and done until now."""
        for group in self.groups:
            self.faults += (f"{group.group_id}: {fault}" for fault in broken_promises(group.history.events()))

    def summary(self) -> str:
        """What happened, in a line."""
        done = [event for group in self.groups for event in group.history.events() if isinstance(event, Processed)]
        shares = Counter(event.member.rpartition("-")[0] for event in done)
        again = sum(count_duplicates(group.history.events()) for group in self.groups)
        return (
            f"{len(self.starts_s) - 1} kills, seed {SEED}: {self.journal.length} records, processed by "
            f"{', '.join(f'{kind} {count}' for kind, count in sorted(shares.items()))}, {again} of these again after "
            f"an unfinished commit; 0 skipped, 0 commits lost; at most {max(self.starts_s):.2f} s until it served"
        )


async def test_what_groups_committed_survives_when_the_broker_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal(tmp_path / "journal") as journal:
        run = await _run(tmp_path / "data", journal, Random(SEED), KILLS)
    assert run.faults == []
    with capsys.disabled():
        print(f"\n{run.summary()}")


async def test_a_broker_that_answers_before_it_writes_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_ANSWERS_BEFORE_IT_WRITES)
    mutant = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "clients")])}
    with Journal(tmp_path / "journal") as journal:
        run = await _run(tmp_path / "data", journal, Random(SEED), KILLS, mutant)
    assert any(" was committed at " in fault for fault in run.faults), run.faults


async def _run(
    data_dir: Path, journal: Journal, random: Random, kills: int, environ: Mapping[str, str] | None = None
) -> Run:
    """Kill the broker so many times, or until a promise was broken."""
    port = quiet_port(random)
    run = Run(_groups(f"127.0.0.1:{port}"), journal)
    try:
        await _kill_often(run, data_dir, port, random, kills, environ or {})
    except BaseException:
        await asyncio.gather(*(group.abandon() for group in run.groups))
        raise
    return run


async def _kill_often(
    run: Run, data_dir: Path, port: int, random: Random, kills: int, environ: Mapping[str, str]
) -> None:
    producing = Producing(run.journal)
    for number in range(kills + 1):
        failpoint = _some_failpoint(random) if number % 3 == 2 and number < kills else ""
        began = time.perf_counter()
        async with _broker(data_dir, port, failpoint, environ) as broker:
            run.starts_s.append(time.perf_counter() - began)
            if number == 0:
                await _create_topic(broker)
                await asyncio.gather(*(group.start() for group in run.groups))
            else:
                await asyncio.gather(*(_look(broker, group) for group in run.groups))
                run.look_for_faults()
            if run.faults:
                await asyncio.gather(*(group.abandon() for group in run.groups))
                break
            producing.start(broker.address)
            if number == kills:
                await _come_to_an_end(broker, run, producing)
                break
            await _work_and_die(broker, run.groups, random, by_itself=bool(failpoint))
            await producing.stop()


async def _work_and_die(broker: SpawnedBroker, groups: Sequence[Group], random: Random, *, by_itself: bool) -> None:
    """Have every group commit in every partition; with a failpoint they come as far as they come."""
    if not by_itself:
        await asyncio.gather(*(group.has_committed_everywhere() for group in groups))
        if random.random() < 0.25:
            await random.choice(groups).replace_member(random)
        await asyncio.sleep(random.uniform(0, 0.2))  # not for something to happen: the kill comes at any time
        broker.process.kill()
    async with asyncio.timeout(WAIT_S):
        assert await broker.process.wait() == -signal.SIGKILL


async def _come_to_an_end(broker: SpawnedBroker, run: Run, producing: Producing) -> None:
    """Have every group process what there is, and compare that with what the broker has."""
    await asyncio.gather(*(group.has_committed_everywhere() for group in run.groups))
    await producing.stop()
    copies = await _copies(broker, run.journal)
    ends = {place: len(copy.values) for place, copy in copies.items()}
    for group in run.groups:
        await group.has_committed(ends)
        await group.stop()
        assert await _look(broker, group) == ends
        processed = [event for event in group.history.events() if isinstance(event, Processed)]
        assert {event.member.rpartition("-")[0] for event in processed} == set(group.kinds), "one kind got nothing"
        assert all(event.value == copies[event.place].values[event.offset] for event in processed)
    run.look_for_faults()


def _groups(bootstrap: str) -> list[Group]:
    """Groups of different clients."""

    def aio(group_id: str, name: str, history: History) -> AioMember:
        return AioMember(name, bootstrap, group_id, history)

    def confluent(group_id: str, protocol: str, name: str, history: History) -> ConfluentMember:
        return ConfluentMember(name, bootstrap, group_id, history, protocol)

    def sdk(group_id: str, protocol: GroupProtocol, name: str, history: History) -> SdkMember:
        return SdkMember(name, bootstrap, group_id, history, protocol)

    classic = {"librdkafka": partial(confluent, "classic", "classic"), "sdk": partial(sdk, "classic", "classic")}
    consumer = {"librdkafka": partial(confluent, "new", "consumer"), "sdk": partial(sdk, "new", "consumer")}
    return [Group("classic", {"aiokafka": partial(aio, "classic"), **classic}), Group("new", consumer)]


async def _look(broker: SpawnedBroker, group: Group) -> dict[TopicPartition, int]:
    """Ask for a group's offsets, and note what is answered."""
    connection = await Connection.open(*broker.address, client_id="looking")
    try:
        group.history.add(LookBegun())
        answer = await _fetch_offsets(connection, group.group_id)
        offsets = {
            TopicPartition(topic.name, partition.partition_index): partition.committed_offset
            for topic in answer.topics
            for partition in topic.partitions
        }
        group.history.add(Seen(offsets))
        return offsets
    finally:
        connection.close()


async def _fetch_offsets(connection: Connection, group_id: str) -> OffsetFetchResponseGroup:
    async with asyncio.timeout(WAIT_S):
        while True:
            request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group_id, topics=None)])
            (answer,) = (await connection.request(request, 8, timeout_ms=20_000)).groups
            if answer.error_code == ErrorCode.NONE:
                return answer
            assert answer.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, answer
            await asyncio.sleep(0.01)  # a coordinator that is loading sends no word when it has loaded


async def _copies(broker: SpawnedBroker, journal: Journal) -> dict[TopicPartition, Copy]:
    """What the partitions hold, every record that was acknowledged among it."""
    acknowledged = list(journal.read_on())
    copies = {place: Copy(place) for place in PLACES}
    connection = await Connection.open(*broker.address, client_id="reading")
    try:
        client = DataPlaneClient(connection)
        for place, copy in copies.items():
            await copy.read_again(client, ())
            copy.check(entry for entry in acknowledged if entry.place == place)
    finally:
        connection.close()
    return copies


def _some_failpoint(random: Random) -> str:
    """A place in the code where the broker kills itself, and how often it comes by before."""
    return f"{random.choice(_FAILPOINTS)}:kill@{random.randint(50, 300)}"


@asynccontextmanager
async def _broker(
    data_dir: Path, port: int, failpoint: str, environ: Mapping[str, str]
) -> AsyncIterator[SpawnedBroker]:
    dying = {"MINIKAFKA_FAILPOINT": failpoint} if failpoint else {}
    async with spawned_broker(data_dir, *_SETTINGS, port=port, environ={**environ, **dying}) as broker:
        yield broker


async def _create_topic(broker: SpawnedBroker) -> None:
    connection = await Connection.open(*broker.address, client_id="admin")
    try:
        await DataPlaneClient(connection).create_topic(TOPIC, len(PLACES))
    finally:
        connection.close()
