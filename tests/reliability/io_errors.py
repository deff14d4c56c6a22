"""One broker, of whose calls to the disk one fails, and a start on what it has left."""

from __future__ import annotations

import errno
from pathlib import Path

from minikafka.broker.broker import Broker
from minikafka.config.sources import load
from minikafka.errors import ErrorCode, KafkaError
from minikafka.net.connection import Connection
from minikafka.protocol.schema import as_view
from minikafka.records.batch import iter_batches
from minikafka.records.record import Record, iter_records
from minikafka.types import TopicPartition
from minikafka_client.admin.admin import AsyncAdmin
from minikafka_client.admin.types import AlterConfig, ConfigResource
from tests.reliability.failing_fs import FailingFileSystem, Fault
from tests.support.broker import settings
from tests.support.data_plane import DataPlaneClient, batch_of

KINDS = (
    Fault("writev", 1, errno.EIO),
    Fault("writev", 1, errno.ENOSPC),
    Fault("writev", 1, None),
    Fault("fdatasync", 1),
    Fault("sync_directory", 1),
    Fault("rename", 1),
    Fault("open", 1),
    Fault("truncate", 1),
    Fault("unlink", 1),
)
"""What can happen, each the first time."""

_TOPIC = "orders"
_PLACE = TopicPartition(_TOPIC, 0)
_BATCHES = 36
_KEYS = 5
_SETTINGS = (
    "log.flush.on.acks.all=auto",
    "log.flush.offset.checkpoint.interval.ms=5",
    "log.segment.bytes=1500",
    "log.cleanup.policy=compact,delete",
    "log.cleaner.backoff.ms=5",
)


class _Told:
    """What a client was told: the records that were acknowledged, and those that may be there."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, bytes] = {}
        self.sent: dict[bytes, bytes] = {}
        """Value to key."""
        self.start_at_least = 0


async def fail_once(directory: Path, fault: Fault) -> bool:
    """Run a workload on a broker with the fault; False when the fault was not reached.

    Rolls, checkpoints, deletions and compaction are part of it.

    Raises:
        AssertionError: Something that was acknowledged is lost, or was acknowledged although the disk had failed.
    """
    fs = FailingFileSystem()
    told = _Told()
    broker = Broker(load(None, {}, [*settings(directory), *_SETTINGS]), fs=fs)
    await broker.start()
    try:
        address = next(iter(broker.addresses.values()))
        connection = await Connection.open(*address, client_id="writer")
        try:
            async with AsyncAdmin(str(address)) as admin:
                client = DataPlaneClient(connection)
                await client.create_topic(_TOPIC)
                fs.arm(fault)
                await _work(client, admin, fs, fault, told)
        finally:
            connection.close()
    finally:
        await broker.stop()
    await _look_at(directory, told)
    return fs.struck is not None


async def _work(client: DataPlaneClient, admin: AsyncAdmin, fs: FailingFileSystem, fault: Fault, told: _Told) -> None:
    for number in range(_BATCHES):
        key, value = b"k%d" % (number % _KEYS), b"%d " % number + bytes(60)
        told.sent[value] = key
        has_lost_data = fault.operation == "fdatasync" and fs.struck is not None and fs.struck.suffix == ".log"
        answer = await client.produce(_TOPIC, batch_of(value, key=key), acks=-1)
        if answer.error_code == 0:
            assert not has_lost_data, "acknowledged after the disk had lost data"
            told.acknowledged[answer.base_offset] = value
        else:
            assert answer.error_code == ErrorCode.KAFKA_STORAGE_ERROR, answer
        try:
            if number in {10, 25}:
                await admin.alter_configs({ConfigResource.topic(_TOPIC): [AlterConfig("segment.ms", "1")]})
                settings_now = [AlterConfig("segment.ms", "100000"), AlterConfig("min.cleanable.dirty.ratio", "0")]
                await admin.alter_configs({ConfigResource.topic(_TOPIC): settings_now})
            elif number == 20:
                told.start_at_least = (await admin.delete_records({_PLACE: 4}))[_PLACE]
        except KafkaError:
            continue


async def _look_at(directory: Path, told: _Told) -> None:
    broker = Broker(load(None, {}, [*settings(directory), *_SETTINGS]))
    await broker.start()
    try:
        connection = await Connection.open(*next(iter(broker.addresses.values())), client_id="reader")
        try:
            client = DataPlaneClient(connection)
            start_offset = (await client.list_offset(_TOPIC, -2)).offset
            found = await _read(client, start_offset)
        finally:
            connection.close()
    finally:
        await broker.stop()
    assert start_offset >= told.start_at_least
    assert all(told.sent.get(record.value or b"") == record.key for record in found.values())
    assert all(told.acknowledged.get(offset, record.value) == record.value for offset, record in found.items())
    last = {record.key: offset for offset, record in found.items()}
    for offset, value in told.acknowledged.items():
        assert offset < start_offset or last.get(told.sent[value], -1) >= offset, f"offset {offset} is lost"


async def _read(client: DataPlaneClient, offset: int) -> dict[int, Record]:
    end_offset = await client.end_offset(_TOPIC)
    found: dict[int, Record] = {}
    while offset < end_offset:
        fetched = await client.fetch(_TOPIC, offset)
        assert fetched.error_code == 0, fetched
        for batch in iter_batches(as_view(fetched.records or b"")):
            found |= {record.offset: record for record in iter_records(batch, budget_bytes=1 << 20)}
            offset = batch.next_offset
    return found
