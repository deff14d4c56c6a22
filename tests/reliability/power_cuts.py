"""One broker, one cut of the power under load, and a start on what the disk has."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from minikafka.net.connection import Connection
from minikafka.storage.filenames import BOOT_ID
from minikafka.types import TopicPartition
from tests.crash.copies import Copy
from tests.crash.load import PARTITIONS, Journal, RawLoad
from tests.reliability.loop_disk import LoopDisk, loop_disk
from tests.support.broker import SpawnedBroker, spawned_broker
from tests.support.data_plane import DataPlaneClient

_SETTINGS = ("log.segment.bytes=65536", "log.flush.offset.checkpoint.interval.ms=50")
_MOUNT_OPTIONS = ("", "data=writeback,nodelalloc")
_ACKNOWLEDGED_AT_LEAST = 300
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Cut:
    """How the power goes."""

    copies_image: bool
    mount_options: str
    is_flushing: bool
    """Whether acks=all waits for the disk."""

    @classmethod
    def some(cls, random: Random, number: int) -> Cut:
        """The ``number``-th of a run: every kind comes again and again; without flushes one in three."""
        return cls(number % 2 == 0, random.choice(_MOUNT_OPTIONS), is_flushing=number % 3 != 2)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was acknowledged, and what was there afterwards."""

    acknowledged: int
    found: int


async def cut_power(directory: Path, cut: Cut, random: Random) -> Outcome:
    """Run one cycle in an empty directory.

    Raises:
        NoLoopDisk: There can be no such disk here.
        AssertionError: Something that was acknowledged is lost, or something is there that was never sent.
    """
    policy = "auto" if cut.is_flushing else "never"
    settings = (*_SETTINGS, f"log.flush.on.acks.all={policy}")
    with loop_disk(directory, cut.mount_options) as disk, Journal(directory / "journal") as journal:
        load = RawLoad(journal)
        async with spawned_broker(disk.path / "data", *settings) as broker:
            await _create_topic(broker, load.topic)
            load.start(broker.address, _ACKNOWLEDGED_AT_LEAST)
            async with asyncio.timeout(_TIMEOUT_S):
                await load.target_reached()
                await asyncio.sleep(random.uniform(0, 0.3))  # not for something to happen: the cut comes at any time
                async with _cut(broker, disk, directory, cut) as left:
                    await load.broker_gone()
                    return await _look_at(left, settings, load, is_complete=cut.is_flushing)


@asynccontextmanager
async def _cut(broker: SpawnedBroker, disk: LoopDisk, directory: Path, cut: Cut) -> AsyncIterator[LoopDisk]:
    """Cut the power; what is left is mounted within the block."""
    os.kill(broker.process.pid, signal.SIGSTOP)
    if cut.copies_image:
        left = disk.copy_to(directory / "left.img", directory / "left")
    else:
        left = disk
        disk.shut_down()
    await broker.kill()
    if not cut.copies_image:
        disk.unmount()
    left.mount()
    try:
        yield left
    finally:
        if cut.copies_image:
            left.unmount()


async def _look_at(disk: LoopDisk, settings: tuple[str, ...], load: RawLoad, *, is_complete: bool) -> Outcome:
    data = disk.path / "data"
    (data / BOOT_ID).unlink(missing_ok=True)  # the machine itself has not gone down: only the disk remembers
    copies = {place: Copy(place) for place in (TopicPartition(load.topic, number) for number in range(PARTITIONS))}
    acknowledged = list(load.journal.read_on())
    async with spawned_broker(data, *settings) as broker:
        connection = await Connection.open(*broker.address, client_id="reader")
        try:
            client = DataPlaneClient(connection)
            for place, copy in copies.items():
                await copy.read_again(client, ())
                if is_complete:
                    copy.check(entry for entry in acknowledged if entry.place == place)
        finally:
            connection.close()
        await broker.terminate()
    return Outcome(len(acknowledged), sum(len(copy.values) for copy in copies.values()))


async def _create_topic(broker: SpawnedBroker, topic: str) -> None:
    connection = await Connection.open(*broker.address, client_id="admin")
    try:
        await DataPlaneClient(connection).create_topic(topic, PARTITIONS)
    finally:
        connection.close()
