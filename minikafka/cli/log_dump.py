"""What is in the files of a partition, entry by entry, as text or as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from minikafka.cli.console import JsonValue
from minikafka.cli.exits import Failure
from minikafka.cli.formats import bytes_as_json, shown
from minikafka.errors import KafkaError
from minikafka.records.batch import RecordBatch, TimestampType
from minikafka.records.compression import Compression
from minikafka.records.control import read_marker
from minikafka.records.record import Record, iter_records
from minikafka.storage import filenames, producer_snapshot, transaction_index
from minikafka.storage.batch_headers import walk_headers
from minikafka.storage.fs import FileSystem, read_file
from minikafka.storage.offset_index import OffsetIndex
from minikafka.storage.producer_state import ProducerState
from minikafka.storage.time_index import TimeIndex
from minikafka.types import NO_OFFSET

_MAX_DECOMPRESSED_BYTES = 1 << 30


def dump_segment(fs: FileSystem, path: Path, *, with_records: bool, as_json: bool) -> Iterator[str]:
    """A line for each batch, and one for each record if they are wanted.

    Every batch is shown as far as it can be read, also one whose CRC is wrong.

    Raises:
        StorageError: The file cannot be read, or goes on with something that is no batch.
    """
    file = fs.open(path)
    for header in walk_headers(file, 0, file.size()):
        batch = RecordBatch.parse(memoryview(file.pread(header.size, header.position)))
        records = _records(batch) if with_records else None
        if as_json:
            yield json.dumps(_batch_as_json(header.position, batch) | _records_as_json(records), ensure_ascii=False)
        else:
            yield _batch_line(header.position, batch)
            yield from _record_lines(batch, records)


def dump_index(fs: FileSystem, path: Path, *, as_json: bool) -> Iterator[str]:
    """A line for each entry of an offset index or a time index.

    Raises:
        Failure: It is not an index.
        StorageError: The file cannot be read.
    """
    base_offset = filenames.base_offset_of(path.name)
    if base_offset is None:
        raise Failure(f"{path} is not named as an index is: 20 digits and .index or .timeindex")
    content = read_file(fs, path)
    try:
        index = (
            OffsetIndex.from_bytes(base_offset, content)
            if path.suffix == filenames.INDEX_SUFFIX
            else TimeIndex.from_bytes(base_offset, content)
        )
    except ValueError as error:
        raise Failure(f"{path}: {error}; it can be removed and is made anew") from None
    for number in range(len(index)):
        fields = index.entry(number)._asdict()
        yield json.dumps(fields) if as_json else "  ".join(f"{name} {value}" for name, value in fields.items())


def dump_producers(fs: FileSystem, path: Path, *, as_json: bool) -> Iterator[str]:
    """A line for each producer of a snapshot, or for each transaction of an index of aborted ones.

    Raises:
        Failure: It is damaged.
        StorageError: The file cannot be read.
    """
    content = read_file(fs, path)
    entries: Iterable[dict[str, JsonValue]]
    if path.suffix == filenames.SNAPSHOT_SUFFIX:
        try:
            entries = map(_producer_fields, producer_snapshot.decode(content))
        except producer_snapshot.CorruptSnapshot as error:
            raise Failure(f"{path}: {error}; it can be removed, the log is read instead") from None
    else:
        entries = (transaction._asdict() for transaction in transaction_index.decode(content))
    for fields in entries:
        yield json.dumps(fields) if as_json else "  ".join(f"{name} {value}" for name, value in fields.items())


def _producer_fields(state: ProducerState) -> dict[str, JsonValue]:
    return {
        "producer_id": state.producer_id,
        "epoch": state.epoch,
        "last_sequence": state.last_sequence,
        "last_offset": state.batches[-1].last_offset if state.batches else NO_OFFSET,
        "last_timestamp_ms": state.last_timestamp_ms,
        "coordinator_epoch": state.coordinator_epoch,
        "transaction_first_offset": state.transaction_first_offset,
    }


def _batch_line(position: int, batch: RecordBatch) -> str:
    parts = [
        f"position {position}",
        f"offsets {batch.base_offset}-{batch.last_offset}",
        f"{batch.records_count} records",
        f"{batch.size} bytes",
        f"epoch {batch.partition_leader_epoch}",
        f"{_time(batch.max_timestamp_ms)} ({_timestamp_type(batch)})",
        f"codec {_codec(batch)}",
    ]
    if batch.has_producer_id:
        parts.append(f"producer {batch.producer_id} epoch {batch.producer_epoch} sequence {batch.base_sequence}")
    if batch.is_transactional:
        parts.append("transactional")
    if batch.is_control:
        parts.append("control")
    parts.append(f"crc {batch.crc:#010x} {'ok' if _is_intact(batch) else 'WRONG'}")
    return "  ".join(parts)


def _batch_as_json(position: int, batch: RecordBatch) -> dict[str, JsonValue]:
    return {
        "position": position,
        "base_offset": batch.base_offset,
        "last_offset": batch.last_offset,
        "records_count": batch.records_count,
        "size_bytes": batch.size,
        "leader_epoch": batch.partition_leader_epoch,
        "base_timestamp_ms": batch.base_timestamp_ms,
        "max_timestamp_ms": batch.max_timestamp_ms,
        "timestamp_type": _timestamp_type(batch),
        "compression": _codec(batch),
        "producer_id": batch.producer_id,
        "producer_epoch": batch.producer_epoch,
        "base_sequence": batch.base_sequence,
        "is_transactional": batch.is_transactional,
        "is_control": batch.is_control,
        "crc": batch.crc,
        "crc_ok": _is_intact(batch),
    }


def _records(batch: RecordBatch) -> list[Record] | str:
    """The records, or why they cannot be read."""
    try:
        return list(iter_records(batch, budget_bytes=_MAX_DECOMPRESSED_BYTES))
    except KafkaError as error:
        return str(error)


def _record_lines(batch: RecordBatch, records: list[Record] | str | None) -> Iterator[str]:
    if isinstance(records, str):
        yield f"    unreadable: {records}"
        return
    for record in records or ():
        headers = "".join(f"  {shown(name.encode())}={shown(content)}" for name, content in record.headers)
        marker = read_marker(record) if batch.is_control else None
        content = (
            f"marker {marker.type.name.lower()}, coordinator epoch {marker.coordinator_epoch}"
            if marker is not None
            else f"key={shown(record.key)}  value={shown(record.value)}"
        )
        yield f"    offset {record.offset}  {_time(record.timestamp_ms)}  {content}{headers}"


def _records_as_json(records: list[Record] | str | None) -> dict[str, JsonValue]:
    if records is None:
        return {}
    if isinstance(records, str):
        return {"records_error": records}
    return {"records": [_record_as_json(record) for record in records]}


def _record_as_json(record: Record) -> dict[str, JsonValue]:
    headers: list[JsonValue] = [{"key": name, "value": _content(content)} for name, content in record.headers]
    return {
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": _content(record.key),
        "value": _content(record.value),
        "headers": headers,
    }


def _content(content: bytes | None) -> JsonValue:
    value: JsonValue = json.loads(bytes_as_json(content))
    return value


def _is_intact(batch: RecordBatch) -> bool:
    try:
        batch.verify_crc()
    except KafkaError:
        return False
    return True


def _codec(batch: RecordBatch) -> str:
    try:
        return Compression(batch.compression).config_name
    except KafkaError as error:
        return str(error)


def _timestamp_type(batch: RecordBatch) -> str:
    return "LogAppendTime" if batch.timestamp_type is TimestampType.LOG_APPEND_TIME else "CreateTime"


def _time(timestamp_ms: int) -> str:
    if timestamp_ms < 0:
        return "no time"
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{timestamp_ms} ms"
