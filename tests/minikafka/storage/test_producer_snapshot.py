from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.records.crc32c import crc32c
from minikafka.storage import producer_snapshot
from minikafka.storage.producer_snapshot import CorruptSnapshot, decode, encode, offsets_in
from minikafka.storage.producer_state import BatchMetadata, ProducerState
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DATA

_LONG = st.integers(0, 2**63 - 1)
_BATCHES = st.builds(BatchMetadata, st.integers(-1, 2**31 - 1), _LONG, st.integers(0, 2**31 - 1), _LONG)


@st.composite
def producers(draw: st.DrawFn) -> list[ProducerState]:
    made = []
    for producer_id in draw(st.lists(_LONG, unique=True, max_size=5)):
        batches = draw(st.lists(_BATCHES, max_size=5))
        state = ProducerState(
            producer_id,
            draw(st.integers(0, 2**15 - 1)),
            coordinator_epoch=draw(st.integers(-1, 2**31 - 1)),
            last_timestamp_ms=batches[-1].timestamp_ms if batches else draw(_LONG),
            transaction_first_offset=draw(st.integers(-1, 2**63 - 1)),
            batches=batches,
        )
        made.append(state)
    return made


def fields_of(state: ProducerState) -> tuple[object, ...]:
    return (
        state.producer_id,
        state.epoch,
        state.coordinator_epoch,
        state.last_timestamp_ms,
        state.transaction_first_offset,
        list(state.batches),
        state.next_sequence,
    )


def test_the_bytes_are_those_that_kafka_writes() -> None:
    state = ProducerState(
        0x1122334455667788,
        5,
        coordinator_epoch=9,
        last_timestamp_ms=0x0102030405060708,
        transaction_first_offset=95,
        batches=[BatchMetadata(41, 99, 1, 0x0102030405060708)],
    )
    idle = ProducerState(2, 0)
    body = bytes.fromhex(
        "00000002"
        "1122334455667788 0005 00000029 0000000000000063 00000001 0102030405060708 00000009 000000000000005f"
        "0000000000000002 0000 ffffffff ffffffffffffffff 00000000 ffffffffffffffff ffffffff ffffffffffffffff"
    )
    assert encode([state, idle]) == b"\x00\x01" + crc32c(body).to_bytes(4, "big") + body


def test_without_producers_there_is_a_header_and_nothing_else() -> None:
    assert encode([]) == b"\x00\x01" + crc32c(bytes(4)).to_bytes(4, "big") + bytes(4)
    assert decode(encode([])) == []


def test_the_earlier_batches_follow_what_kafka_reads() -> None:
    batches = [BatchMetadata(4, 14, 4, 1000), BatchMetadata(5, 15, 0, 1001)]
    content = encode([ProducerState(7, 0, last_timestamp_ms=1001, batches=batches)])
    assert content[10 + 46 :] == struct.pack(">qiqiq", 7, 4, 14, 4, 1000)


@given(producers())
def test_what_is_written_is_read(states: list[ProducerState]) -> None:
    assert [fields_of(state) for state in decode(encode(states))] == [fields_of(state) for state in states]


@given(producers(), st.data())
def test_damage_is_noticed(states: list[ProducerState], data: st.DataObject) -> None:
    content = bytearray(encode(states))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptSnapshot):
        decode(bytes(content))


@given(producers(), st.data())
def test_a_torn_file_is_noticed(states: list[ProducerState], data: st.DataObject) -> None:
    content = encode(states)
    with pytest.raises(CorruptSnapshot):
        decode(content[: data.draw(st.integers(0, len(content) - 1))])


@pytest.mark.parametrize("body", [struct.pack(">i", 1), struct.pack(">i", -1), struct.pack(">i", 0) + bytes(31)])
def test_a_count_that_does_not_fit_is_noticed_although_the_crc_is_right(body: bytes) -> None:
    with pytest.raises(CorruptSnapshot, match="do not fit"):
        decode(struct.pack(">hI", 1, crc32c(body)) + body)


def test_a_snapshot_takes_the_place_of_one_at_the_same_offset() -> None:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    producer_snapshot.save(fs, DATA, 5, [ProducerState(1, 0), ProducerState(2, 0)])
    (file,) = producer_snapshot.save(fs, DATA, 5, [ProducerState(3, 0)])
    assert file.path.name == f"{5:020d}.snapshot"
    assert [state.producer_id for state in producer_snapshot.load(fs, DATA, 5)] == [3]
    producer_snapshot.remove(fs, DATA, 5)
    producer_snapshot.remove(fs, DATA, 5)
    assert fs.files() == []


def test_a_disk_that_refuses_is_no_fault() -> None:
    fs = MemoryFileSystem()
    fs.make_directory(DATA)
    fs.fail("writev", path_part=".snapshot")
    assert producer_snapshot.save(fs, DATA, 5, [ProducerState(1, 0)]) == ()
    fs.fail("unlink", path_part=".snapshot")
    producer_snapshot.remove(fs, DATA, 5)


def test_snapshots_are_found_among_other_files() -> None:
    names = [f"{9:020d}.snapshot", f"{0:020d}.log", f"{4:020d}.snapshot", "x.snapshot", f"{4:020d}.snapshot.tmp"]
    assert offsets_in(names) == [4, 9]
