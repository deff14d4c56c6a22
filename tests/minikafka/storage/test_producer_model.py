"""Producers against a list of what the log holds: whatever happens to the log, it takes and refuses the same batches.

The model knows nothing but that list.  It looks back through it for the last batches of a producer each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from minikafka.errors import ErrorCode, KafkaError
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import SMALL, LogHarness, append, end_transaction, send

LAST_SEQUENCE = 2**31 - 1
REFUSED = {
    ErrorCode.INVALID_PRODUCER_EPOCH,
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    ErrorCode.INVALID_TXN_STATE,
    ErrorCode.TRANSACTION_COORDINATOR_FENCED,
}

_PRODUCERS = st.integers(1, 3)
_SHARE = st.floats(0, 1)


class Written(NamedTuple):
    """A batch, or with a ``commits`` that is not None a marker."""

    offset: int
    count: int
    producer_id: int = -1
    epoch: int = -1
    sequence: int = -1
    is_transactional: bool = False
    commits: bool | None = None
    coordinator_epoch: int = -1

    @property
    def next_sequence(self) -> int:
        return (self.sequence + self.count) % (LAST_SEQUENCE + 1)


class ProducerModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.fs = MemoryFileSystem()
        self.harness = LogHarness(self.fs, replace(SMALL, segment_bytes=500, retention_ms=-1))
        self.written: list[Written] = []
        self.snapshots_often = patch("minikafka.storage.log_producers.SNAPSHOT_INTERVAL_BYTES", 150)
        self.snapshots_often.start()

    def teardown(self) -> None:
        self.snapshots_often.stop()

    # What the list says.

    @property
    def end(self) -> int:
        return self.written[-1].offset + self.written[-1].count if self.written else 0

    def of(self, producer_id: int) -> Iterator[Written]:
        """The producer's batches and markers, the last first."""
        return (one for one in reversed(self.written) if one.producer_id == producer_id)

    def epoch_of(self, producer_id: int) -> int:
        return next((one.epoch for one in self.of(producer_id)), -1)

    def window_of(self, producer_id: int) -> list[Written]:
        """The last five batches of its epoch, the last first."""
        epoch = self.epoch_of(producer_id)
        return [one for one in self.of(producer_id) if one.epoch == epoch and one.commits is None][:5]

    def open_of(self, producer_id: int) -> Written | None:
        """The first batch of its open transaction."""
        first = None
        for one in self.of(producer_id):
            if one.commits is not None:
                break
            if one.is_transactional:
                first = one
        return first

    def expected(
        self, producer_id: int, epoch: int, sequence: int, count: int, *, is_transactional: bool
    ) -> int | ErrorCode:
        """The offset that is answered, or the error."""
        known_epoch, window = self.epoch_of(producer_id), self.window_of(producer_id)
        for batch in window:
            if (epoch, sequence, count) == (batch.epoch, batch.sequence, batch.count):
                return batch.offset
        if epoch < known_epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if known_epoch >= 0:
            goes_on = window[0].next_sequence if epoch == known_epoch and window else 0
            if sequence != goes_on:
                return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        if self.open_of(producer_id) is not None and not is_transactional:
            return ErrorCode.INVALID_TXN_STATE
        return self.end

    # What is done to both.

    @rule(count=st.integers(1, 3))
    def append_plain(self, count: int) -> None:
        values = [b"plain"] * count
        assert append(self.harness.log, *values) == self.end
        self.written.append(Written(self.end, count))

    @rule(
        producer_id=_PRODUCERS,
        bump=st.sampled_from((0, 0, 0, 1, -1)),
        jump=st.sampled_from((0, 0, 0, 0, 1, -1, LAST_SEQUENCE)),
        first=st.sampled_from((0, 7, LAST_SEQUENCE - 2)),
        count=st.integers(1, 4),
        is_transactional=st.booleans(),
    )
    def send(self, producer_id: int, bump: int, jump: int, first: int, count: int, is_transactional: bool) -> None:
        known_epoch, window = self.epoch_of(producer_id), self.window_of(producer_id)
        epoch = max(0, known_epoch + bump)
        if known_epoch < 0:
            sequence = first
        else:
            goes_on = window[0].next_sequence if epoch == known_epoch and window else 0
            sequence = (goes_on + jump) % (LAST_SEQUENCE + 1)
        self.send_exactly(producer_id, epoch, sequence, count, is_transactional=is_transactional)

    @rule(producer_id=_PRODUCERS, back=st.integers(0, 7))
    def send_again(self, producer_id: int, back: int) -> None:
        batches = [one for one in self.of(producer_id) if one.commits is None]
        if batches:
            one = batches[min(back, len(batches) - 1)]
            self.send_exactly(producer_id, one.epoch, one.sequence, one.count, is_transactional=one.is_transactional)

    def send_exactly(self, producer_id: int, epoch: int, sequence: int, count: int, *, is_transactional: bool) -> None:
        expected = self.expected(producer_id, epoch, sequence, count, is_transactional=is_transactional)
        try:
            answered: int | ErrorCode = send(
                self.harness.log, producer_id, sequence, count, epoch=epoch, is_transactional=is_transactional
            )
        except KafkaError as error:
            assert error.code in REFUSED
            answered = error.code
        assert answered == expected
        if answered == self.end and not isinstance(answered, ErrorCode):  # whose numbers may be those of offsets
            self.written.append(Written(self.end, count, producer_id, epoch, sequence, is_transactional))

    @rule(
        producer_id=_PRODUCERS,
        commits=st.booleans(),
        bump=st.sampled_from((0, 0, 1, -1)),
        coordinator_epoch=st.integers(0, 2),
    )
    def end_transaction(self, producer_id: int, commits: bool, bump: int, coordinator_epoch: int) -> None:
        known_epoch = self.epoch_of(producer_id)
        epoch = max(0, known_epoch + bump)
        seen = next((one.coordinator_epoch for one in self.of(producer_id) if one.commits is not None), -1)
        expected: int | ErrorCode = self.end
        if epoch < known_epoch:
            expected = ErrorCode.INVALID_PRODUCER_EPOCH
        elif coordinator_epoch < seen:
            expected = ErrorCode.TRANSACTION_COORDINATOR_FENCED
        try:
            answered: int | ErrorCode = end_transaction(
                self.harness.log, producer_id, epoch=epoch, is_commit=commits, coordinator_epoch=coordinator_epoch
            )
        except KafkaError as error:
            answered = error.code
        assert answered == expected
        if answered == self.end and not isinstance(answered, ErrorCode):  # whose numbers may be those of offsets
            self.written.append(
                Written(self.end, 1, producer_id, epoch, commits=commits, coordinator_epoch=coordinator_epoch)
            )

    @rule()
    def roll(self) -> None:
        self.harness.log.roll()

    @rule()
    def flush(self) -> None:
        self.harness.log.flush()

    @rule(share=_SHARE)
    def truncate(self, share: float) -> None:
        end_offset = round(share * self.end)
        self.harness.log.truncate_to(end_offset)
        self.written = [one for one in self.written if one.offset + one.count <= end_offset]

    @rule(damaged=st.sets(st.integers(0, 5)), is_lost=st.booleans())
    def stop_and_start(self, damaged: set[int], is_lost: bool) -> None:
        self.harness.log.close()
        self.damage(damaged, is_lost=is_lost)
        self.harness.reopen(was_clean=True)

    @rule(machine_restarted=st.booleans(), damaged=st.sets(st.integers(0, 5)), is_lost=st.booleans())
    def die_and_start(self, machine_restarted: bool, damaged: set[int], is_lost: bool) -> None:
        self.damage(damaged, is_lost=is_lost)
        self.harness.reopen(machine_restarted=machine_restarted)

    def damage(self, which: set[int], *, is_lost: bool) -> None:
        """Take snapshots away, or make nonsense of them, counted from the newest."""
        snapshots = [path for path in reversed(self.fs.files()) if path.suffix == ".snapshot"]
        for number in which & set(range(len(snapshots))):
            if is_lost:
                self.fs.unlink(snapshots[number])
            else:
                self.fs.content(snapshots[number])[-1] ^= 0xFF

    # What is so at any time.

    @invariant()
    def the_ends_are_the_same(self) -> None:
        assert self.harness.log.log_end_offset == self.end

    @invariant()
    def the_same_transactions_are_open(self) -> None:
        firsts = [first.offset for producer_id in (1, 2, 3) if (first := self.open_of(producer_id)) is not None]
        assert self.harness.log.producers.states.first_unstable_offset == min(firsts, default=None)

    @invariant()
    def the_same_transactions_are_aborted(self) -> None:
        expected = []
        opened: dict[int, int] = {}
        for one in self.written:
            if one.commits is None and one.is_transactional:
                opened.setdefault(one.producer_id, one.offset)
            elif one.commits is not None:
                first_offset = opened.pop(one.producer_id, None)
                if first_offset is not None and not one.commits:
                    expected.append((one.producer_id, first_offset, one.offset))
        found = self.harness.log.find_aborted(0, self.end)
        assert [entry[:3] for entry in found] == expected
        for offset in range(0, self.end, 3):
            overlapping = [entry for entry in expected if entry[2] >= offset and entry[1] < offset + 2]
            assert [entry[:3] for entry in self.harness.log.find_aborted(offset, offset + 2)] == overlapping


ProducerModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestProducerModel = ProducerModel.TestCase
