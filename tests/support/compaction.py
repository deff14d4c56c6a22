"""Logs with keys, and whole passes over them."""

from __future__ import annotations

from collections.abc import Callable

from minikafka.records.batch import PREFIX_SIZE, RecordBatch
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.compression import Compression
from minikafka.records.control import ControlType, EndTransactionMarker, build_marker
from minikafka.storage.compaction import CompactionMeans, CompactionTicket
from minikafka.storage.log import Log
from tests.support.storage import prepared, records_from

MEANS = CompactionMeans(1 << 20, 1 << 16, 1 << 20, lambda _: None)


def keyed(
    *pairs: tuple[bytes | None, bytes | None],
    first_ms: int = 1000,
    base_offset: int = 0,
    codec: Compression = Compression.NONE,
    producer_id: int = -1,
    base_sequence: int = -1,
    is_transactional: bool = False,
) -> bytes:
    """A batch of keys and values; the times are ``first_ms``, one more, and so on."""
    builder = RecordBatchBuilder(codec, is_transactional=is_transactional)
    if producer_id >= 0:
        builder.producer_id, builder.producer_epoch, builder.base_sequence = producer_id, 0, base_sequence
    for number, (key, value) in enumerate(pairs):
        builder.append(first_ms + number, key, value)
    return builder.build(base_offset, 0)


def marker(kind: ControlType | None, offset: int, producer_id: int, *, first_ms: int = 1000) -> RecordBatch:
    """The marker that ends a transaction; None is for a control record of a kind that is not known."""
    if kind is not None:
        end = EndTransactionMarker(kind, coordinator_epoch=0)
        content = build_marker(end, producer_id=producer_id, producer_epoch=0, timestamp_ms=first_ms)
    else:
        builder = RecordBatchBuilder(producer_id=producer_id, producer_epoch=0, is_control=True)
        builder.append(first_ms, b"\0\0\0\x05", b"")
        content = builder.build()
    return parsed(RecordBatch.parse(memoryview(content)).stamped_prefix(offset, 0) + content[PREFIX_SIZE:])


def parsed(batch: bytes | bytearray | memoryview) -> RecordBatch:
    """The batch, its CRC verified."""
    found = RecordBatch.parse(memoryview(batch))
    found.verify_crc()
    return found


def put(log: Log, *pairs: tuple[bytes | None, bytes | None], first_ms: int = 1000) -> int:
    """Append one batch as the leader, and return its first offset."""
    return log.append_as_leader(prepared(keyed(*pairs, first_ms=first_ms)), 0).base_offset


def durable(log: Log) -> None:
    """Do what a broker does before a pass: everything is on the disk, and written down to be."""
    log.flush()
    log._home.save_recovery_points()


def begin(log: Log, means: CompactionMeans = MEANS) -> CompactionTicket | None:
    """Begin a pass over all closed segments."""
    durable(log)
    return log.begin_compaction(log.log_end_offset, means)


def run(log: Log, ticket: CompactionTicket | None, between: Callable[[], object] = lambda: None) -> None:
    """Run a pass to its end; ``between`` happens before what is written is put in its place."""
    while ticket is not None and not ticket.is_done:
        ticket.run()
        between()
        log.end_compaction(ticket)
    if ticket is not None:
        ticket.close()


def compact(log: Log, means: CompactionMeans = MEANS) -> None:
    """One pass over all closed segments, and over the active one too, which is closed for it."""
    log.roll()
    run(log, begin(log, means))


def pairs_from(log: Log, offset: int = 0) -> dict[int, tuple[bytes | None, bytes | None]]:
    """Offset to key and value of every record."""
    return {record.offset: (record.key, record.value) for record in records_from(log, offset)}
