from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from minikafka.protocol.messages.fetch import AbortedTransaction
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.control import ControlType, EndTransactionMarker, build_marker
from minikafka.types import TopicPartition
from minikafka_client.consumer.chunk import Chunk
from minikafka_client.consumer.decode import Decoder
from minikafka_client.consumer.positions import PartitionState, Start


class Log:
    """A partition as transactional and other producers write it."""

    def __init__(self) -> None:
        self.data = b""
        self.end_offset = 0
        self.first_offsets: dict[int, int] = {}
        self.aborted: list[AbortedTransaction] = []
        self.committed: list[int] = []
        self._open: dict[int, list[int]] = {}

    def write(self, producer_id: int, count: int, *, is_transactional: bool = True) -> None:
        builder = RecordBatchBuilder(
            producer_id=producer_id, producer_epoch=0, base_sequence=0, is_transactional=is_transactional
        )
        for _ in range(count):
            builder.append(1, None, b"x")
        offsets = list(range(self.end_offset, self.end_offset + count))
        if is_transactional:
            self.first_offsets.setdefault(producer_id, self.end_offset)
            self._open.setdefault(producer_id, []).extend(offsets)
        else:
            self.committed += offsets
        self._append(builder.build(self.end_offset), count)

    def end(self, producer_id: int, control_type: ControlType) -> None:
        offsets = self._open.pop(producer_id, [])
        first_offset = self.first_offsets.pop(producer_id, self.end_offset)
        if control_type is ControlType.COMMIT:
            self.committed += offsets
        elif offsets:
            self.aborted.append(AbortedTransaction(producer_id=producer_id, first_offset=first_offset))
        marker = EndTransactionMarker(control_type, 0)
        data = build_marker(marker, producer_id=producer_id, producer_epoch=0, timestamp_ms=1)
        self._append(self.end_offset.to_bytes(8, "big") + data[8:], 1)

    def _append(self, batch: bytes, count: int) -> None:
        self.data += batch
        self.end_offset += count


def read(log: Log, *, committed_only: bool) -> list[int]:
    state = PartitionState(TopicPartition("orders", 0), Start.EARLIEST)
    state.seek(0)
    state.chunks.append(Chunk(memoryview(log.data), log.aborted if committed_only else ()))
    offsets: list[int] = []
    while Decoder().decode_ahead(state):
        offsets += [message.offset for message in state.take(3)]
    assert state.position == log.end_offset
    return offsets


def test_control_batches_are_never_seen() -> None:
    log = Log()
    log.write(7, 2)
    log.end(7, ControlType.COMMIT)
    log.write(7, 1)
    log.end(7, ControlType.ABORT)
    assert read(log, committed_only=False) == [0, 1, 3]


def test_what_was_aborted_is_left_out_until_the_marker() -> None:
    log = Log()
    log.write(7, 2)
    log.write(8, 1)
    log.end(7, ControlType.ABORT)
    log.write(7, 1)
    log.end(8, ControlType.COMMIT)
    log.end(7, ControlType.COMMIT)
    assert read(log, committed_only=True) == [2, 4]


def test_records_outside_of_transactions_are_seen_between_aborted_ones() -> None:
    log = Log()
    log.write(7, 1)
    log.write(9, 1, is_transactional=False)
    log.end(7, ControlType.ABORT)
    assert read(log, committed_only=True) == [1]


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_exactly_what_was_committed_is_read_whatever_the_order(seed: int, steps: int) -> None:
    chance = random.Random(seed)
    log = Log()
    for _ in range(steps):
        producer_id = chance.randrange(3)
        action = chance.choice(["write", "write", "plain", "commit", "abort"])
        if action == "write":
            log.write(producer_id, chance.randrange(1, 4))
        elif action == "plain":
            log.write(9, 1, is_transactional=False)
        else:
            log.end(producer_id, ControlType.COMMIT if action == "commit" else ControlType.ABORT)
    for producer_id in range(3):
        log.end(producer_id, ControlType.COMMIT)
    assert read(log, committed_only=True) == sorted(log.committed)


def test_cutting_takes_from_the_front() -> None:
    chunk = Chunk(memoryview(b"abcdef"))
    chunk.cut(2)
    assert bytes(chunk.records) == b"cdef"
