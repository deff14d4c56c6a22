"""A pass, from the segments of a log to the files that are to replace them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from minikafka.errors import CorruptMessage, StorageError
from minikafka.records.compression import Compression
from minikafka.storage.batch_reader import read_batches
from minikafka.storage.compaction import CompactionTicket, Source, group
from minikafka.storage.offset_map import ENTRY_BYTES
from tests.support.compaction import MEANS, begin, compact, keyed, pairs_from, put, run
from tests.support.memory_fs import MemoryFileSystem
from tests.support.storage import DIRECTORY, SMALL, LogHarness, prepared

CONFIG = replace(SMALL, segment_bytes=500, cleanup_policy=frozenset({"compact"}))
VALUE = bytes(30)


def harness() -> LogHarness:
    return LogHarness(MemoryFileSystem(), CONFIG)


def fill(made: LogHarness, keys: str) -> None:
    """One record, one batch for each letter."""
    for number, key in enumerate(keys):
        put(made.log, (key.encode(), b"%d" % number + VALUE))


def begun(made: LogHarness, memory_bytes: int = 1 << 20) -> CompactionTicket:
    ticket = begin(made.log, replace(MEANS, dedupe_buffer_bytes=memory_bytes))
    assert ticket is not None
    return ticket


def keys_at(made: LogHarness) -> str:
    found = pairs_from(made.log)
    return "".join((found[offset][0] or b"?").decode() if offset in found else "." for offset in range(max(found) + 1))


@pytest.mark.parametrize("codec", list(Compression))
def test_of_each_key_the_last_record_stays_where_it_is(codec: Compression) -> None:
    made = harness()
    for number in range(20):
        made.log.append_as_leader(
            prepared(keyed((b"k%d" % (number % 3), b"%d" % number), (b"only", b""), codec=codec)), 0
        )
    before = pairs_from(made.log)
    compact(made.log)
    after = pairs_from(made.log)
    assert after == {offset: before[offset] for offset in (34, 36, 38, 39)}
    assert made.log.log_end_offset == 40


def test_a_pass_that_finds_nothing_changes_no_file() -> None:
    made = harness()
    fill(made, "abcdefghij")
    made.log.roll()
    ticket = begun(made)
    before = {path: bytes(made.fs.content(path)) for path in made.fs.files()}
    written = []
    run(made.log, ticket, lambda: written.append(ticket.cleaned))
    assert {path: bytes(made.fs.content(path)) for path in made.fs.files()} == before
    assert not any(written)
    assert ticket.end_offset == 10


def test_segments_that_have_become_small_are_made_one_by_the_next_pass() -> None:
    made = harness()
    fill(made, "abababababababababababababababab")
    compact(made.log)
    assert len(made.log._segments) > 8
    fill(made, "c")
    compact(made.log)
    assert len(made.log._segments) < 5
    assert keys_at(made) == "." * 30 + "abc"


def test_a_pass_whose_memory_is_full_stops_and_the_next_one_goes_on() -> None:
    made = harness()
    fill(made, "abcdefabcdefabcdefabcdef")
    made.log.roll()
    ends = []
    for _ in range(10):
        ticket = begin(made.log, replace(MEANS, dedupe_buffer_bytes=3 * ENTRY_BYTES))
        if ticket is None:
            break
        run(made.log, ticket)
        ends.append(ticket.end_offset)
    assert ends == sorted(set(ends))
    assert ends[-1] == 24
    assert len(ends) > 3
    assert keys_at(made) == "." * 18 + "abcdef"


def test_every_byte_that_is_read_or_written_is_accounted_for() -> None:
    made = harness()
    fill(made, "abababab")
    made.log.roll()
    read = made.log.size_bytes
    spent: list[int] = []
    run(made.log, begin(made.log, replace(MEANS, spend=spent.append)))
    assert sum(spent) == 2 * read + made.log.size_bytes


def test_a_damaged_segment_ends_the_pass_and_nothing_is_replaced() -> None:
    made = harness()
    fill(made, "abababababab")
    made.log.roll()
    ticket = begun(made)
    made.fs.content(DIRECTORY / f"{0:020d}.log")[80] ^= 1
    with pytest.raises(CorruptMessage):
        ticket.run()
    assert ticket.is_done
    assert ticket.cleaned is None
    assert not [path for path in made.fs.files() if path.suffix == ".cleaned"]


@pytest.mark.parametrize("operation", ["open", "writev", "fdatasync", "pread", "truncate", "list_directory"])
def test_whatever_fails_while_a_pass_writes_the_log_is_as_it_was(operation: str) -> None:
    nth, reached = 0, True
    while reached:
        nth += 1
        made = harness()
        fill(made, "abababababab")
        made.log.roll()
        before = pairs_from(made.log)
        ticket = begun(made)
        count = made.fs.counts[operation]
        made.fs.fail(operation, nth=nth, reason="No space left on device")
        with suppress(StorageError):
            ticket.run()
        made.fs.heal()
        reached = made.fs.counts[operation] - count >= nth
        ticket.abort()
        made.log.end_compaction(ticket)
        assert pairs_from(made.log) == before
        compact(made.log)
        assert keys_at(made) == "." * 10 + "ab"
        assert not [path for path in made.fs.files() if path.suffix == ".cleaned"]
    assert nth > 1


def test_an_aborted_pass_ends_without_a_word() -> None:
    made = harness()
    fill(made, "abababababab")
    made.log.roll()
    aborted: CompactionTicket

    def abort(_size: int) -> None:
        aborted.abort()

    ticket = begin(made.log, replace(MEANS, spend=abort))
    assert ticket is not None
    aborted = ticket
    ticket.run()
    assert ticket.is_done
    assert ticket.is_aborted
    assert ticket.cleaned is None


def test_what_is_read_is_closed() -> None:
    made = harness()
    fill(made, "abababababab")
    made.log.roll()
    ticket = begun(made)
    ticket.run()
    assert ticket._files
    ticket.close()
    assert not ticket._files


def test_the_empty_end_of_a_segment_keeps_its_offsets() -> None:
    """The last batch of a segment stays, without records: the next segment goes on where it ends."""
    made = harness()
    fill(made, "aaaaaaaa")
    made.log.roll()
    fill(made, "a")
    made.log.roll()
    run(made.log, begun(made))
    first = made.log._segments[0]
    assert [batch.last_offset for batch in read_batches(first.file, first.size, 1 << 20)][-1] == first.end_offset - 1
    assert made.log._segments[1].base_offset == first.end_offset


def sources(*sizes: int, offsets_each: int = 10) -> list[Source]:
    return [Source(i * offsets_each, (i + 1) * offsets_each, size) for i, size in enumerate(sizes)]


def grouped(found: Sequence[Source], sizes: dict[str, int] | None = None, max_bytes: int = 100) -> list[list[int]]:
    groups = group(found, sizes or {}, max_bytes, max_index_bytes=50)
    return [[source.size for source in one] for one in groups]


def test_segments_are_put_together_up_to_the_size_of_one() -> None:
    assert grouped(sources(40, 60, 1, 99, 100, 101, 7)) == [[40, 60], [1, 99], [100], [101], [7]]
    assert grouped([]) == []


def test_indexes_bound_a_group_too() -> None:
    sizes = {f"{10 * i:020d}.index": 20 for i in range(5)}
    assert grouped(sources(1, 2, 3, 4, 5), sizes) == [[1, 2], [3, 4], [5]]
    sizes = {f"{10 * i:020d}.timeindex": 30 for i in range(5)}
    assert grouped(sources(1, 2, 3), sizes) == [[1], [2], [3]]


def test_offsets_of_a_group_are_within_the_reach_of_its_index() -> None:
    assert grouped(sources(1, 2, 3, offsets_each=2**30)) == [[1, 2], [3]]


def test_no_group_has_too_many_files() -> None:
    assert [len(one) for one in grouped(sources(*[0] * 250))] == [100, 100, 50]
