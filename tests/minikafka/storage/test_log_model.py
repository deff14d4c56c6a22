"""The log against a list: whatever is done to both, they hold the same records."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from minikafka.records.batch import iter_batches
from minikafka.records.record import Record
from minikafka.storage.filenames import INDEX_SUFFIX
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import SMALL, LogHarness, append, apply_retention, records_from

_VALUES = st.lists(st.binary(max_size=60), min_size=1, max_size=5)
_TIMES = st.integers(1_000, 1_060)
_SHARE = st.floats(0, 1)


class LogModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.fs = MemoryFileSystem()
        self.harness = LogHarness(self.fs, replace(SMALL, segment_bytes=600, segment_ms=50, retention_ms=-1))
        self.log = self.harness.log
        self.batches: list[list[Record]] = []
        self.start = 0
        self.epoch = 0

    @property
    def end(self) -> int:
        return self.batches[-1][-1].offset + 1 if self.batches else self.start

    @property
    def visible(self) -> list[Record]:
        return [record for batch in self.batches for record in batch if record.offset >= self.start]

    def somewhere(self, share: float) -> int:
        return self.start + round(share * (self.end - self.start))

    @rule(values=_VALUES, first_ms=_TIMES, step_ms=st.sampled_from((-4, 0, 3)), new_epoch=st.booleans())
    def append(self, values: list[bytes], first_ms: int, step_ms: int, new_epoch: bool) -> None:
        self.epoch += new_epoch
        times = tuple(first_ms + step_ms * i for i in range(len(values)))
        assert append(self.log, *values, timestamps_ms=times, epoch=self.epoch) == self.end
        self.batches.append([Record(self.end + i, times[i], None, value) for i, value in enumerate(values)])

    @rule(share=_SHARE, end_share=_SHARE, max_bytes=st.integers(0, 1500), min_one=st.booleans())
    def read(self, share: float, end_share: float, max_bytes: int, min_one: bool) -> None:
        offset, end_offset = self.somewhere(share), self.somewhere(end_share)
        content = self.log.read(offset, max_bytes, end_offset, min_one_batch=min_one).read()
        batches = list(iter_batches(memoryview(content)))
        assert sum(batch.size for batch in batches) == len(content)
        assert len(content) <= max_bytes or (min_one and len(batches) == 1)
        bases = [batch[0].offset for batch in self.batches if batch[-1].offset >= offset]
        assert [batch.base_offset for batch in batches] == bases[: len(batches)]
        assert all(batch.next_offset <= end_offset for batch in batches)
        whole = [batch for batch in self.batches if batch[-1].offset >= offset and batch[-1].offset < end_offset]
        if whole and min_one:
            assert batches

    @rule(timestamp_ms=_TIMES, end_share=_SHARE)
    def find_by_timestamp(self, timestamp_ms: int, end_share: float) -> None:
        end_offset = self.somewhere(end_share)
        found = self.log.find_by_timestamp(timestamp_ms, end_offset)
        expected = next((r for r in self.visible if r.timestamp_ms >= timestamp_ms), None)
        if expected is None or expected.offset >= end_offset:
            assert found is None
        else:
            assert found is not None
            assert (found.timestamp_ms, found.offset) == (expected.timestamp_ms, expected.offset)
            assert found.leader_epoch == self.log.leader_epochs.epoch_at(found.offset)

    @rule(end_share=_SHARE)
    def find_max_timestamp(self, end_share: float) -> None:
        wanted = self.somewhere(end_share)
        end_offset = max((batch[-1].offset + 1 for batch in self.batches if batch[-1].offset < wanted), default=0)
        expected = max(
            (r for r in self.visible if r.offset < end_offset), key=lambda r: (r.timestamp_ms, -r.offset), default=None
        )
        found = self.log.find_max_timestamp(end_offset)
        assert (found and (found.timestamp_ms, found.offset)) == (expected and (expected.timestamp_ms, expected.offset))

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule()
    def flush(self) -> None:
        self.log.flush()
        assert self.log.flushed_end_offset == self.end
        assert self.log.unflushed_bytes == 0

    @rule(share=_SHARE)
    def delete_records(self, share: float) -> None:
        self.start = self.somewhere(share)
        self.log.delete_records(self.start)

    @rule()
    def apply_retention(self) -> None:
        apply_retention(self.log, 0)
        self.batches = [batch for batch in self.batches if batch[0].offset >= self.log._segments[0].base_offset]

    @rule(share=_SHARE)
    def truncate(self, share: float) -> None:
        offset = self.somewhere(share)
        self.log.truncate_to(offset)
        self.batches = [batch for batch in self.batches if batch[-1].offset < offset]
        if self.end < self.start or not self.batches:
            self.start = min(self.start, self.log.log_end_offset)
            self.log.log_start_offset = min(self.log.log_start_offset, self.log.log_end_offset)

    @rule()
    def stop_and_start(self) -> None:
        self.log.close()
        self.log = self.harness.reopen(was_clean=True)

    @rule(machine_restarted=st.booleans(), indexes_lost=st.booleans())
    def die_and_start(self, machine_restarted: bool, indexes_lost: bool) -> None:
        if indexes_lost:
            for path in self.fs.files():
                if path.name.endswith(INDEX_SUFFIX):
                    self.fs.unlink(path)
        self.log = self.harness.reopen(machine_restarted=machine_restarted)

    @invariant()
    def the_ends_are_the_same(self) -> None:
        assert self.log.log_start_offset == self.start
        assert self.log.log_end_offset == self.end
        assert self.log.flushed_end_offset <= self.end

    @invariant()
    def epochs_are_those_of_the_records(self) -> None:
        entries = self.log.leader_epochs.entries
        assert all(entry.start_offset <= self.end for entry in entries)

    def teardown(self) -> None:
        assert records_from(self.log, self.start) == self.visible
        assert self.log.size_bytes == sum(
            len(self.fs.content(path)) for path in self.fs.files() if path.suffix == ".log"
        )


LogModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestLogModel = LogModel.TestCase
