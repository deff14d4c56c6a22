"""Faults to be put into the storage on purpose, one at a time: a search that does not find them would find no others.

Each of them is a rule of the storage left out.  They replace private methods, so they break when those change; then
the rule has to be looked up in its new place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path

from pytest import MonkeyPatch

from minikafka.config.definition import MAX_LONG
from minikafka.errors import StorageError
from minikafka.records.batch import RecordBatch
from minikafka.records.control import EndTransactionMarker
from minikafka.storage import checkpoint, log_compaction, producer_recovery, producer_snapshot, recovery, segment_swap
from minikafka.storage.batch_headers import BatchHeader
from minikafka.storage.cleaned_segment import CleanedSegment
from minikafka.storage.compaction import CompactionTicket
from minikafka.storage.data_directory import DataDirectory
from minikafka.storage.filenames import CLEAN_SHUTDOWN, SEGMENT_SUFFIXES, parse_partition_directory, segment_file
from minikafka.storage.flush import FlushState, FlushTicket
from minikafka.storage.fs import Buffer, File, FileSystem, write_fully
from minikafka.storage.log import Log
from minikafka.storage.log_compaction import LogCompaction
from minikafka.storage.log_producers import LogProducers
from minikafka.storage.log_truncation import LogTruncation
from minikafka.storage.producer_recovery import KnownProducers
from minikafka.storage.producer_state import ProducerState
from minikafka.storage.recovery import _Recovery
from minikafka.storage.scan import BadBatch, end_of_data
from minikafka.storage.segment import Segment
from minikafka.storage.segment_swap import swap_in
from minikafka.storage.transaction_index import TransactionIndex, encode
from minikafka.types import TopicPartition

Mutant = Callable[[MonkeyPatch], None]


def acknowledged_before_the_disk_has_it(patch: MonkeyPatch) -> None:
    def run(_self: FlushTicket) -> None:
        """Sync nothing."""

    patch.setattr(FlushTicket, "run", run)


def reach_of_a_flush_taken_when_it_ends(patch: MonkeyPatch) -> None:
    end_flush = Log.end_flush

    def end_flush_too_far(self: Log, ticket: FlushTicket) -> None:
        ticket.end_offset = self.log_end_offset
        end_flush(self, ticket)

    patch.setattr(Log, "end_flush", end_flush_too_far)


def closed_segments_left_out_of_the_flush(patch: MonkeyPatch) -> None:
    add_files = FlushState.add_files

    def add_indexes_only(self: FlushState, files: Iterable[File], directory: Path | None = None) -> None:
        add_files(self, [file for file in files if file.path.suffix != ".log"], directory)

    patch.setattr(FlushState, "add_files", add_indexes_only)


def names_of_new_segments_not_synced(patch: MonkeyPatch) -> None:
    def add_directory(_self: FlushState, _directory: Path) -> None:
        """Forget it."""

    patch.setattr(FlushState, "add_directory", add_directory)


def crc_not_checked(patch: MonkeyPatch) -> None:
    def verify_crc(_self: RecordBatch) -> None:
        """Believe it."""

    patch.setattr(RecordBatch, "verify_crc", verify_crc)


def damaged_checkpoint_is_fatal(patch: MonkeyPatch) -> None:
    decode = checkpoint.decode

    def decode_or_fail(content: bytes, comment: str = "") -> list[str]:
        lines = decode(content, comment)
        if lines is None:
            raise StorageError("a checkpoint is damaged")
        return lines

    patch.setattr(checkpoint, "decode", decode_or_fail)


def checkpoint_written_in_place(patch: MonkeyPatch) -> None:
    def write(fs: FileSystem, path: Path, lines: Iterable[str], comment: str = "") -> None:
        file = fs.open(path, create=True)
        file.truncate(0)
        write_fully(file, (checkpoint.encode(lines, comment),))
        file.fdatasync()
        fs.sync_directory(path.parent)

    patch.setattr(checkpoint, "write", write)


def clean_marker_left_there(patch: MonkeyPatch) -> None:
    def take_clean_marker(self: DataDirectory) -> bool:
        return self._fs.exists(self.path / CLEAN_SHUTDOWN)

    patch.setattr(DataDirectory, "take_clean_marker", take_clean_marker)


def removal_of_the_clean_marker_not_synced(patch: MonkeyPatch) -> None:
    def take_clean_marker(self: DataDirectory) -> bool:
        path = self.path / CLEAN_SHUTDOWN
        is_clean = self._fs.exists(path)
        if is_clean:
            self._fs.unlink(path)
        return is_clean

    patch.setattr(DataDirectory, "take_clean_marker", take_clean_marker)


def index_trusted_beyond_the_recovery_point(patch: MonkeyPatch) -> None:
    def trusted_start(_self: _Recovery, segment: Segment) -> BatchHeader | None:
        try:
            index = segment.load_indexes().offsets
        except (StorageError, ValueError):
            return None
        return segment.batch_at(index.entry(-1)) if index else None

    patch.setattr(_Recovery, "_trusted_start", trusted_start)


def index_of_the_last_closed_segment_trusted(patch: MonkeyPatch) -> None:
    def first_to_scan(self: _Recovery) -> int:
        bases = [segment.base_offset for segment in self._segments]
        return max(sum(base <= self._last_stop.recovery_point for base in bases) - 1, 0)

    patch.setattr(_Recovery, "_first_to_scan", first_to_scan)


def torn_tail_not_truncated(patch: MonkeyPatch) -> None:
    def cut_off(self: Segment, position: int) -> None:
        self.size = position

    patch.setattr(Segment, "cut_off", cut_off)


def cut_not_synced(patch: MonkeyPatch) -> None:
    def cut_off(self: Segment, position: int) -> None:
        self.file.truncate(position)
        self.size = position

    patch.setattr(Segment, "cut_off", cut_off)


def zeros_at_the_end_taken_for_data(patch: MonkeyPatch) -> None:
    cut = _Recovery._cut

    def cut_unless_zeros(self: _Recovery, number: int, bad: BadBatch) -> None:
        segment = self._segments[number]
        if end_of_data(segment.file, bad.position, segment.size) > bad.position:
            cut(self, number, bad)

    patch.setattr(_Recovery, "_cut", cut_unless_zeros)


def recovered_data_taken_to_be_on_the_disk(patch: MonkeyPatch) -> None:
    def keep_unsynced(_self: _Recovery, _first: int) -> None:
        """Have nothing synced."""

    patch.setattr(_Recovery, "_keep_unsynced", keep_unsynced)


def power_loss_taken_for_process_death(patch: MonkeyPatch) -> None:
    def has_machine_restarted(_self: DataDirectory) -> bool:
        return False

    patch.setattr(DataDirectory, "has_machine_restarted", has_machine_restarted)


def log_end_moved_before_the_write(patch: MonkeyPatch) -> None:
    append = Log._append

    def append_late(
        self: Log,
        batch: RecordBatch,
        prefix: bytes,
        base_offset: int,
        last_offset: int,
        marker: EndTransactionMarker | None,
    ) -> None:
        self.log_end_offset = last_offset + 1
        append(self, batch, prefix, base_offset, last_offset, marker)

    patch.setattr(Log, "_append", append_late)


def short_write_not_finished(patch: MonkeyPatch) -> None:
    def finish_write(_self: Segment, _file: File, _position: int, _prefix: bytes, _rest: Buffer) -> None:
        """Take it for a whole one."""

    patch.setattr(Segment, "_finish_write", finish_write)


def failed_write_not_taken_back(patch: MonkeyPatch) -> None:
    def take_back(_self: Segment, _file: File, _position: int) -> None:
        """Leave it there."""

    patch.setattr(Segment, "_take_back", take_back)


def recovery_point_not_lowered(patch: MonkeyPatch) -> None:
    def lower_recovery_point(_self: DataDirectory, _topic_partition: TopicPartition, _offset: int) -> None:
        """Leave it where it is."""

    patch.setattr(DataDirectory, "lower_recovery_point", lower_recovery_point)


def recovery_point_lowered_into_a_batch(patch: MonkeyPatch) -> None:
    def end_of_what_is_kept(_self: LogTruncation, end_offset: int) -> int:
        return end_offset

    patch.setattr(LogTruncation, "_end_of_what_is_kept", end_of_what_is_kept)


def start_of_the_log_not_written_down(patch: MonkeyPatch) -> None:
    def save_log_start_offsets(_self: DataDirectory) -> None:
        """Keep it in memory."""

    patch.setattr(DataDirectory, "save_log_start_offsets", save_log_start_offsets)


def numbers_of_a_deleted_log_kept(patch: MonkeyPatch) -> None:
    def prepare_for(_self: DataDirectory, _topic_partition: TopicPartition) -> None:
        """Leave them in the files."""

    patch.setattr(DataDirectory, "prepare_for", prepare_for)


def cleaned_segment_not_synced(patch: MonkeyPatch) -> None:
    def finish(self: CleanedSegment, _aborted: object) -> None:
        self._write()
        self._indexes.add_latest()
        self._indexes.save_files()

    patch.setattr(CleanedSegment, "finish", finish)


def old_segments_removed_before_the_swap(patch: MonkeyPatch) -> None:
    def swap_in_late(fs: FileSystem, directory: Path, base_offset: int, replaced: Iterable[int]) -> None:
        bases = list(replaced)
        for base, suffix in product(bases, SEGMENT_SUFFIXES):
            path = directory / segment_file(base, suffix)
            if base != base_offset and fs.exists(path):
                fs.unlink(path)
        swap_in(fs, directory, base_offset, bases)

    patch.setattr(log_compaction, "swap_in", swap_in_late)


def new_segment_in_its_place_before_the_old_ones_are_gone(patch: MonkeyPatch) -> None:
    finish = segment_swap._finish

    def finish_the_wrong_way_round(fs: FileSystem, directory: Path, base_offset: int, replaced: Iterable[int]) -> None:
        finish(fs, directory, base_offset, ())
        finish(fs, directory, base_offset, replaced)

    patch.setattr(segment_swap, "_finish", finish_the_wrong_way_round)


def interrupted_swap_undone(patch: MonkeyPatch) -> None:
    patch.setattr(recovery, "settle_swaps", segment_swap.remove_unfinished)


def compaction_noted_before_it_is_done(patch: MonkeyPatch) -> None:
    begin = CompactionTicket.run

    def run(self: CompactionTicket) -> None:
        partition = parse_partition_directory(self._directory.name)
        home = _homes[self._fs, self._directory.parent]
        assert partition is not None
        home.cleaned_offsets[partition] = self._sources[-1].end_offset
        home.save_cleaned_offsets()
        begin(self)

    _homes: dict[tuple[FileSystem, Path], DataDirectory] = {}
    lock = DataDirectory.lock

    def remember(self: DataDirectory) -> None:
        _homes[self._fs, self.path] = self
        lock(self)

    patch.setattr(DataDirectory, "lock", remember)
    patch.setattr(CompactionTicket, "run", run)


def records_compacted_that_are_not_on_the_disk(patch: MonkeyPatch) -> None:
    def saved_recovery_point(_self: DataDirectory, _topic_partition: TopicPartition) -> int:
        return MAX_LONG

    patch.setattr(DataDirectory, "saved_recovery_point", saved_recovery_point)


def compaction_not_told_that_segments_have_gone(patch: MonkeyPatch) -> None:
    def abort(_self: LogCompaction) -> None:
        """Go on."""

    patch.setattr(LogCompaction, "abort", abort)


def gaps_taken_for_compaction_wherever_they_are(patch: MonkeyPatch) -> None:
    run = _Recovery.run

    def run_trustingly(self: _Recovery, has_epochs: bool) -> None:
        self._gapless_from = MAX_LONG
        run(self, has_epochs)

    patch.setattr(_Recovery, "run", run_trustingly)


def damaged_snapshot_taken_for_an_empty_one(patch: MonkeyPatch) -> None:
    decode = producer_snapshot.decode

    def decode_trustingly(content: bytes) -> list[ProducerState]:
        try:
            return decode(content)
        except producer_snapshot.CorruptSnapshot:
            return []

    patch.setattr(producer_snapshot, "decode", decode_trustingly)


def snapshot_of_what_the_log_has_lost_believed(patch: MonkeyPatch) -> None:
    def remove_none(_fs: FileSystem, _directory: Path, snapshots: Iterable[int], _end_offset: int) -> list[int]:
        return sorted(snapshots)

    patch.setattr(producer_recovery, "remove_snapshots_above", remove_none)


def aborted_transactions_not_forgotten_with_their_markers(patch: MonkeyPatch) -> None:
    def forget_aborted(_self: Segment, _end_offset: int) -> None:
        """Keep them."""

    patch.setattr(Segment, "forget_aborted", forget_aborted)


def cut_of_an_index_of_transactions_not_synced(patch: MonkeyPatch) -> None:
    def truncate_to(self: TransactionIndex, end_offset: int) -> None:
        kept = [entry for entry in self.entries if entry.last_offset < end_offset]
        if len(kept) < len(self.entries):
            self._open().truncate(len(kept) * len(encode(self.entries[0])))
            self._entries = kept

    patch.setattr(TransactionIndex, "truncate_to", truncate_to)


def index_of_aborted_transactions_left_out_of_the_flush(patch: MonkeyPatch) -> None:
    add_files = FlushState.add_files

    def add_others(self: FlushState, files: Iterable[File], directory: Path | None = None) -> None:
        add_files(self, [file for file in files if file.path.suffix != ".txnindex"], directory)

    patch.setattr(FlushState, "add_files", add_others)


def producers_not_taken_back_by_a_truncation(patch: MonkeyPatch) -> None:
    def truncated(_self: LogProducers) -> None:
        """Remember all of them."""

    patch.setattr(LogProducers, "truncated", truncated)


def snapshot_of_what_the_power_may_have_taken_believed(patch: MonkeyPatch) -> None:
    load_producers = producer_recovery.load_producers

    def load_trustingly(
        fs: FileSystem,
        directory: Path,
        segments: Sequence[Segment],
        snapshots: Iterable[int],
        *,
        synced_end_offset: int = MAX_LONG,
    ) -> KnownProducers:
        return load_producers(fs, directory, segments, snapshots)

    patch.setattr(recovery, "load_producers", load_trustingly)


def snapshot_within_a_segment_ahead_of_what_it_knows(patch: MonkeyPatch) -> None:
    save_if_due = LogProducers.save_if_due

    def save_too_early(self: LogProducers, end_offset: int) -> None:
        save_if_due(self, end_offset + 1)

    patch.setattr(LogProducers, "save_if_due", save_too_early)


PRODUCER_MUTANTS: Sequence[Mutant] = (
    damaged_snapshot_taken_for_an_empty_one,
    snapshot_of_what_the_log_has_lost_believed,
    aborted_transactions_not_forgotten_with_their_markers,
    cut_of_an_index_of_transactions_not_synced,
    index_of_aborted_transactions_left_out_of_the_flush,
    producers_not_taken_back_by_a_truncation,
    snapshot_of_what_the_power_may_have_taken_believed,
    snapshot_within_a_segment_ahead_of_what_it_knows,
)
"""Those that only a log shows to which idempotent producers write."""

COMPACTION_MUTANTS: Sequence[Mutant] = (
    cleaned_segment_not_synced,
    old_segments_removed_before_the_swap,
    new_segment_in_its_place_before_the_old_ones_are_gone,
    interrupted_swap_undone,
    compaction_noted_before_it_is_done,
    records_compacted_that_are_not_on_the_disk,
    compaction_not_told_that_segments_have_gone,
    gaps_taken_for_compaction_wherever_they_are,
)
"""Those that only a log shows which is compacted."""

MUTANTS: Sequence[Mutant] = (
    acknowledged_before_the_disk_has_it,
    reach_of_a_flush_taken_when_it_ends,
    closed_segments_left_out_of_the_flush,
    names_of_new_segments_not_synced,
    crc_not_checked,
    damaged_checkpoint_is_fatal,
    checkpoint_written_in_place,
    clean_marker_left_there,
    removal_of_the_clean_marker_not_synced,
    index_trusted_beyond_the_recovery_point,
    index_of_the_last_closed_segment_trusted,
    torn_tail_not_truncated,
    cut_not_synced,
    zeros_at_the_end_taken_for_data,
    recovered_data_taken_to_be_on_the_disk,
    power_loss_taken_for_process_death,
    log_end_moved_before_the_write,
    short_write_not_finished,
    failed_write_not_taken_back,
    recovery_point_not_lowered,
    recovery_point_lowered_into_a_batch,
    start_of_the_log_not_written_down,
    numbers_of_a_deleted_log_kept,
)
