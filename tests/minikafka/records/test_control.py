from __future__ import annotations

import struct

import pytest
from aiokafka.record.control_record import ABORT_MARKER, COMMIT_MARKER, ControlRecord

from minikafka.errors import InvalidRecord
from minikafka.records.compacted import without_records
from minikafka.records.control import (
    ControlType,
    EndTransactionMarker,
    build_marker,
    marker_of,
    read_control_type,
    read_marker,
)
from minikafka.records.record import Record, iter_records
from tests.minikafka.records.strategies import parse


@pytest.mark.parametrize(("kind", "theirs"), [(ControlType.ABORT, ABORT_MARKER), (ControlType.COMMIT, COMMIT_MARKER)])
def test_a_marker_comes_back_and_is_what_aiokafka_takes_it_for(kind: ControlType, theirs: ControlRecord) -> None:
    marker = EndTransactionMarker(kind, 77)
    batch = parse(build_marker(marker, producer_id=5, producer_epoch=6, timestamp_ms=7))
    batch.verify_crc()
    (record,) = iter_records(batch, budget_bytes=100)
    assert batch.is_control
    assert batch.is_transactional
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (5, 6, -1)
    assert (record.key, record.value) == (struct.pack(">hh", 0, kind), struct.pack(">hi", 0, 77))
    assert record.timestamp_ms == 7
    assert read_marker(record) == marker
    assert ControlRecord.parse(record.key) == theirs


def test_a_control_record_about_something_else_is_no_marker() -> None:
    leader_change = Record(0, 0, struct.pack(">hh", 0, 2), b"")
    assert read_marker(leader_change) is None
    assert read_control_type(leader_change) == 2


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    record = Record(0, 0, struct.pack(">hhb", 1, 1, 9), struct.pack(">hib", 1, 3, 9))
    assert read_marker(record) == EndTransactionMarker(ControlType.COMMIT, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"\x00" * 6),
        (b"\x00\x00\x00", b"\x00" * 6),
        (b"\xff\xff\x00\x01", b"\x00" * 6),
        (b"\x00\x00\x00\x01", None),
        (b"\x00\x00\x00\x01", b"\x00" * 5),
        (b"\x00\x00\x00\x01", b"\xff\xff\x00\x00\x00\x00"),
    ],
)
def test_a_malformed_marker_is_refused(key: bytes | None, value: bytes | None) -> None:
    with pytest.raises(InvalidRecord):
        read_marker(Record(0, 0, key, value))


def test_the_marker_of_a_batch_is_in_its_one_record() -> None:
    marker = EndTransactionMarker(ControlType.ABORT, 3)
    batch = parse(build_marker(marker, producer_id=5, producer_epoch=6, timestamp_ms=7))
    assert marker_of(batch) == marker
    assert marker_of(parse(without_records(batch))) is None
