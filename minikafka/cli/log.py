"""``minikafka log``: look into the files of a broker, without a broker."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from minikafka.cli.console import JsonValue, confirm, plural
from minikafka.cli.exits import ExitCode, Failure
from minikafka.cli.log_check import Problem, ProblemKind, Report, check, partition_directories, repair, segment_paths
from minikafka.cli.log_dump import dump_index, dump_producers, dump_segment
from minikafka.storage.filenames import (
    INDEX_SUFFIX,
    LOG_SUFFIX,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    TRANSACTION_INDEX_SUFFIX,
)
from minikafka.storage.fs import OsFileSystem

_PLACE = click.argument("place", metavar="FILE|DIR", type=click.Path(exists=True, path_type=Path))
_OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
_ADVICE = {
    ProblemKind.TORN: "a broker that starts after a crash cuts it off if it was unflushed; --repair always does",
    ProblemKind.CORRUPT: "--repair cuts the log there",
    ProblemKind.INDEX: "it is made anew when it is missing; --repair removes it",
}


@click.group()
def log() -> None:
    """Look into the files of a broker, without a broker."""


@log.command()
@_PLACE
@click.option("--records", is_flag=True, help="Each record too, not only each batch.")
@_OUTPUT
def dump(place: Path, records: bool, output: str) -> None:
    """Print what is in a segment (.log), or in all segments of a partition.

    Of an index (.index, .timeindex, .txnindex) it prints the entries, of a .snapshot the producers. With -o json it
    prints one object a line.
    """
    fs = OsFileSystem()
    as_json = output == "json"
    if place.suffix in {INDEX_SUFFIX, TIME_INDEX_SUFFIX} and place.is_file():
        _write(dump_index(fs, place, as_json=as_json))
        return
    if place.suffix in {SNAPSHOT_SUFFIX, TRANSACTION_INDEX_SUFFIX} and place.is_file():
        _write(dump_producers(fs, place, as_json=as_json))
        return
    for segment in _segments(place):
        if not as_json:
            click.echo(click.style(f"{segment}  {segment.stat().st_size:,} bytes", bold=True))
        _write(dump_segment(fs, segment, with_records=records, as_json=as_json))


@log.command()
@_PLACE
@click.option("--allow-gaps", is_flag=True, help="For compacted topics: offsets may be missing between batches.")
@click.option(
    "--repair", "is_repair", is_flag=True, help="Cut off what is damaged, after asking. Stop the broker first."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_OUTPUT
def verify(*, place: Path, allow_gaps: bool, is_repair: bool, yes: bool, output: str) -> int:
    """Check a segment, a partition's directory, or all partitions of a data directory.

    Every batch is read and its length, CRC, offsets and leader epoch are checked, and the indexes are compared with the
    batches. Exit code 1 says that something is wrong and was not repaired.
    """
    if is_repair and place.is_file():
        raise click.UsageError("--repair is for the directory of a partition, not for a single file")
    fs = OsFileSystem()
    places = [place] if place.is_file() else partition_directories(place)
    if not places:
        raise Failure(f"{place} holds no segments, and no partitions that do")
    reports = [check(fs, _segments(part), allow_gaps=allow_gaps) for part in places]
    if output == "json":
        click.echo(json.dumps([_as_json(report) for report in reports], indent=2))
    for report in reports:
        if output != "json":
            _print(report)
    damaged = [report for report in reports if report.problems]
    if is_repair:
        damaged = [report for report in damaged if not _repair(fs, report, yes=yes)]
    return ExitCode.FAILURE if damaged else ExitCode.OK


def _segments(place: Path) -> Sequence[Path]:
    if place.is_file():
        if place.suffix != LOG_SUFFIX:
            raise Failure(f"{place} is not a segment: their names are 20 digits and .log")
        return [place]
    segments = segment_paths(place)
    if not segments:
        raise Failure(f"{place} holds no segments; name the directory of a partition, such as orders-0")
    return segments


def _write(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")  # there may be millions, and click.echo flushes each


def _repair(fs: OsFileSystem, report: Report, *, yes: bool) -> bool:
    damage = report.damage
    if damage is not None and not yes:
        question = (
            f"Cut {report.directory} at offset {report.end_offset}? "
            f"{plural(report.lost_bytes, 'byte')} after it will be gone for good"
        )
        if not confirm(question):
            return False
    repair(fs, report)
    done = f"ends at offset {report.end_offset} now" if damage is not None else "wrong indexes removed"
    click.echo(f"repaired {report.directory}: {done}", err=True)
    return True


def _print(report: Report) -> None:
    state = click.style("ok", fg="green") if not report.problems else click.style("DAMAGED", fg="red")
    click.echo(
        f"{state}  {report.directory}  offsets {report.start_offset} to {report.end_offset} (exclusive), "
        f"{plural(report.segments, 'segment')}, {plural(report.batches, 'batch')}, "
        f"{plural(report.size_bytes, 'byte')}"
    )
    for problem in report.problems:
        place = "" if problem.offset is None else f" at position {problem.position}, offset {problem.offset}"
        click.echo(f"    {problem.kind.value}: {problem.path.name}{place}: {problem.detail}; {_ADVICE[problem.kind]}")


def _as_json(report: Report) -> dict[str, JsonValue]:
    return {
        "directory": str(report.directory),
        "start_offset": report.start_offset,
        "end_offset": report.end_offset,
        "segments": report.segments,
        "batches": report.batches,
        "size_bytes": report.size_bytes,
        "lost_bytes": report.lost_bytes,
        "problems": [_problem_as_json(problem) for problem in report.problems],
    }


def _problem_as_json(problem: Problem) -> dict[str, JsonValue]:
    return {
        "kind": problem.kind.value,
        "file": problem.path.name,
        "position": problem.position,
        "offset": problem.offset,
        "detail": problem.detail,
    }
