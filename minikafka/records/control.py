"""Control batches: the markers that end a transaction in each of its partitions.

A control batch holds one record::

    key    version i16 = 0, type i16                 0 abort, 1 commit; others are Kafka's own
    value  version i16 = 0, coordinator_epoch i32    of a commit or an abort

Source: Kafka, clients/common/record/ControlRecordType.java, EndTransactionMarker.java.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from minikafka.errors import InvalidRecord
from minikafka.records.batch import CONTROL_FLAG, TRANSACTIONAL_FLAG, RecordBatch
from minikafka.records.record import Record, iter_records
from minikafka.records.single import build_single

_KEY = struct.Struct(">hh")
_VALUE = struct.Struct(">hi")
_VERSION = 0
_MAX_RECORD_BYTES = 1024


class ControlType(IntEnum):
    """What a control record says."""

    ABORT = 0
    COMMIT = 1


class EndTransactionMarker(NamedTuple):
    """The end of a transaction, as its coordinator of that epoch decided."""

    type: ControlType
    coordinator_epoch: int


def build_marker(marker: EndTransactionMarker, *, producer_id: int, producer_epoch: int, timestamp_ms: int) -> bytes:
    """The control batch that ends the producer's transaction."""
    return build_single(
        timestamp_ms,
        _KEY.pack(_VERSION, marker.type),
        _VALUE.pack(_VERSION, marker.coordinator_epoch),
        attributes=TRANSACTIONAL_FLAG | CONTROL_FLAG,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
    )


def read_marker(record: Record) -> EndTransactionMarker | None:
    """The marker in a record of a control batch; None when it is about something else than transactions.

    Versions above 0 are read as far as they are known here, as Kafka does.

    Raises:
        InvalidRecord: The record is too short for what it claims to be.
    """
    control_type = read_control_type(record)
    if control_type not in (ControlType.ABORT, ControlType.COMMIT):
        return None
    if record.value is None or len(record.value) < _VALUE.size:
        raise InvalidRecord("the value of a transaction marker is too short")
    version, coordinator_epoch = _VALUE.unpack_from(record.value)
    if version < 0:
        raise InvalidRecord(f"a transaction marker cannot have version {version}")
    return EndTransactionMarker(ControlType(control_type), coordinator_epoch)


def marker_of(batch: RecordBatch) -> EndTransactionMarker | None:
    """The marker in a control batch; None when it is about something else, or compaction has emptied it.

    Raises:
        InvalidRecord: The record is not what a control record has to be.
    """
    return next(map(read_marker, iter_records(batch, budget_bytes=_MAX_RECORD_BYTES)), None)


def read_control_type(record: Record) -> int:
    """The type in the key of a record of a control batch, whether or not it is one of :class:`ControlType`.

    Raises:
        InvalidRecord: The key is too short to hold one.
    """
    if record.key is None or len(record.key) < _KEY.size:
        raise InvalidRecord("the key of a control record is too short")
    version, control_type = _KEY.unpack_from(record.key)
    if version < 0:
        raise InvalidRecord(f"a control record cannot have version {version}")
    return int(control_type)
