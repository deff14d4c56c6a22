"""What all measurements share: how long they last, where the data go, and how a load is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.load import LoadResult, LoadSpec
from benchmarks.targets import HOST, TOPIC, Target
from benchmarks.wire import WrongAnswer, create_topic

T = TypeVar("T")
TargetT = TypeVar("TargetT", bound=Target)

PARTITIONS = 4
BATCH_RECORDS = 800
RECORD_BYTES = 1000
PRODUCE_IN_FLIGHT = 5

_WARM_UP_SECONDS = 0.5
_FILLER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks for."""

    directory: Path
    """Brokers keep their data below it."""
    runs: int
    seconds: float
    """How long one load lasts at most."""
    max_bytes: int
    """How much one load moves at most: page cache that was never used before is slow on virtual machines."""
    tell: Callable[[str], None]
    """Says what is going on."""
    kfake: Path | None = None
    """The program of another competitor."""


def run_load(settings: Settings, spec: LoadSpec) -> LoadResult:
    """Run the load generator.

    Raises:
        WrongAnswer: A broker did not answer as it has to.
    """
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, input=json.dumps(asdict(spec)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongAnswer(f"the load ended with {done.stderr.strip().splitlines()[-1:]}")
    return LoadResult(**json.loads(done.stdout))


def produce(
    settings: Settings,
    target: Target,
    *,
    partitions: int = PARTITIONS,
    in_flight: int = PRODUCE_IN_FLIGHT,
    records_per_batch: int = BATCH_RECORDS,
    seconds: float | None = None,
    max_bytes: int | None = None,
) -> LoadResult:
    """Append batches with acks=all."""
    spec = LoadSpec(
        work="produce",
        host=HOST,
        port=target.port,
        topic=TOPIC,
        partitions=partitions,
        in_flight=in_flight,
        seconds=settings.seconds if seconds is None else seconds,
        max_bytes=settings.max_bytes if max_bytes is None else max_bytes,
        records_per_batch=records_per_batch,
        record_bytes=RECORD_BYTES,
        keeps_offsets=target.is_broker,
    )
    return run_load(settings, spec)


def fetch(settings: Settings, target: Target, *, partitions: int = PARTITIONS, first_offset: int = 0) -> LoadResult:
    """Read what was produced, again and again if it is not much."""
    spec = LoadSpec(
        work="fetch",
        host=HOST,
        port=target.port,
        topic=TOPIC,
        partitions=partitions,
        in_flight=1,
        seconds=settings.seconds,
        max_bytes=2 * settings.max_bytes,
        first_offset=first_offset,
    )
    return run_load(settings, spec)


def fill(settings: Settings, target: Target, n_bytes: int, *, partitions: int = PARTITIONS) -> LoadResult:
    """Produce this much, however long it takes."""
    return produce(settings, target, partitions=partitions, seconds=3600.0, max_bytes=n_bytes)


def warm_up(settings: Settings, target: Target, *, partitions: int = PARTITIONS) -> None:
    """Let a broker do everything once that it does for the first time only."""
    produce(settings, target, partitions=partitions, seconds=_WARM_UP_SECONDS)
    if target.is_broker:
        fetch(settings, target, partitions=partitions)


@contextmanager
def running(target: TargetT, *, partitions: int = PARTITIONS) -> Iterator[TargetT]:
    """A started target with an empty topic; its data are gone afterwards."""
    try:
        target.start()
        if target.is_broker:
            create_topic(HOST, target.port, TOPIC, partitions)
        yield target
    finally:
        target.discard()


def settle(directory: Path, n_bytes: int) -> None:
    """Make the next load find the machine as every other one does.

    What earlier loads wrote goes to disk now, and the memory that the next one writes through has just been used: a
    virtual machine gets memory slowly, gives free memory back within seconds, and whoever needs it first pays for it.
    So this comes right before what is measured.
    """
    os.sync()
    path = directory / "filler"
    filler = bytes(_FILLER_BYTES)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for _ in range(n_bytes // _FILLER_BYTES):
            os.write(fd, filler)
    finally:
        os.close(fd)
        path.unlink()


def require_space(directory: Path, n_bytes: int) -> None:
    """Refuse to fill up the disk.

    Raises:
        SystemExit: Less than ``n_bytes`` are free.
    """
    free = shutil.disk_usage(directory).free
    if free < n_bytes:
        raise SystemExit(f"{directory} has {free / 1e9:.0f} GB free, {n_bytes / 1e9:.0f} GB are needed: --data-dir")


def rotated(targets: Sequence[T], run: int) -> Sequence[T]:
    """Targets, or their names, in another order for each run: whoever comes first has the disadvantage in turn."""
    start = run % len(targets)
    return [*targets[start:], *targets[:start]]
