"""``minikafka topic trim|roll|expire|compact``: what brokers do by the clock, done now, and what it comes to.

Trimming is a request of Kafka's own (DeleteRecords).  The others are asked for by settings, see
:mod:`minikafka.cli.for_now`.  Without ``--now`` they only show what there is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import click

from minikafka.cli.complete import topic_names
from minikafka.cli.console import plural
from minikafka.cli.exits import ExitCode, Failure
from minikafka.cli.for_now import settings_for_now
from minikafka.cli.options import CLIENT_ID, age_option, bootstrap_option, output_option
from minikafka.cli.places import Place, place_option
from minikafka.cli.topic_state import TopicState, count_keys, measure, partitions_of, print_change, sizes_of
from minikafka.types import TopicPartition
from minikafka_client.admin.types import ConfigResource
from minikafka_client.sync import Admin, Consumer

_LOOK_EVERY_S = 0.1

Command = TypeVar("Command", bound=Callable[..., None])


def _upkeep_options(command: Command) -> Command:
    """TOPIC, ``--now`` and where the brokers are."""
    now = click.option("--now", is_flag=True, help="Do it.  [default: only show what there is]")
    name = click.argument("name", metavar="TOPIC", shell_complete=topic_names)
    return name(now(bootstrap_option(output_option(command))))


@click.command()
@click.option(
    "--before", "place", metavar="PLACE", required=True, callback=place_option, help="What is left begins here."
)
@click.option("-p", "--partition", "numbers", type=click.IntRange(min=0), multiple=True, help="[default: all]")
@_upkeep_options
def trim(*, name: str, place: Place, numbers: Sequence[int], now: bool, bootstrap: str, output: str) -> None:
    """Delete the first records of TOPIC, those before PLACE.

    \b
    end         all records
    4211        those before an offset
    -10         all but the last ten, in each partition
    @-5m        those older than five minutes (s, m, h, d)
    @2026-11-22T10:00, @1795341600000   those before that time

    Consumers do not see them any more; files go when all of their records are deleted.
    """  # noqa: D301 - click keeps the lines of a paragraph apart that begins with a backspace
    with (
        Admin(bootstrap, client_id=CLIENT_ID) as admin,
        Consumer(bootstrap, client_id=CLIENT_ID, allow_auto_create_topics=False) as consumer,
    ):
        partitions = partitions_of(admin, name, numbers)
        before = measure(admin, partitions)
        places = place.resolve(consumer, partitions)
        wanted = {where: min(offset, before[where].end_offset) for where, offset in places.items()}
        count = sum(max(0, wanted[where] - state.start_offset) for where, state in before.items())
        if now:
            admin.delete_records({where: max(wanted[where], before[where].start_offset) for where in partitions})
        after = measure(admin, partitions) if now else before
    _tell(name, before, after, output, did=f"{plural(count, 'offset')} deleted" if now else None)
    if not now:
        click.echo(f"{plural(count, 'offset')} would be deleted; --now does it", err=True)


@click.command()
@_upkeep_options
def roll(*, name: str, now: bool, bootstrap: str, output: str) -> None:
    """End the segment that is written, in each partition of TOPIC, and begin a new one.

    Only segments that have ended are compacted, and only whole segments expire. An empty one does not end.
    """
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        partitions = partitions_of(admin, name)
        before = measure(admin, partitions)
        if now:
            _roll(admin, name)
        after = measure(admin, partitions) if now else before
    _tell(name, before, after, output, did="each partition goes on in a new segment" if now else None)
    if not now:
        click.echo("nothing was done; --now ends the segments that have records", err=True)


@click.command()
@click.option(
    "--older-than", "age_ms", metavar="AGE", callback=age_option, help="30s, 10m, 2h, 7d.  [default: retention.ms]"
)
@_upkeep_options
def expire(*, name: str, age_ms: int | None, now: bool, bootstrap: str, output: str) -> None:
    """Delete the segments of TOPIC whose records are all too old, or that are too much.

    What retention.bytes has to say counts as well. The segment that is written goes only with all others.
    """
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        partitions = partitions_of(admin, name)
        before = measure(admin, partitions)
        own_age_ms = _setting(admin, name, "retention.ms")
        if "delete" not in _setting(admin, name, "cleanup.policy"):
            raise Failure(f"nothing of {name} expires (cleanup.policy=compact); use 'minikafka topic trim {name}'")
        if now:
            with settings_for_now(admin, name, {"retention.ms": own_age_ms if age_ms is None else str(age_ms)}):
                pass
        after = measure(admin, partitions) if now else before
    gone = sum(after[where].start_offset - state.start_offset for where, state in before.items())
    _tell(name, before, after, output, did=f"{plural(gone, 'offset')} deleted" if now else None)
    if not now:
        click.echo(f"nothing was done; --now deletes what is older than {age_ms or own_age_ms} ms", err=True)


@click.command()
@click.option("--timeout", "timeout_s", type=float, metavar="S", default=60.0, show_default=True)
@_upkeep_options
def compact(*, name: str, timeout_s: float, now: bool, bootstrap: str, output: str) -> None:
    """Compact TOPIC: of each key only the last record stays, at its offset.

    It is read to find out whether each key is there once. The segment that is written ends first.
    """
    with (
        Admin(bootstrap, client_id=CLIENT_ID) as admin,
        Consumer(
            bootstrap, client_id=CLIENT_ID, allow_auto_create_topics=False, isolation_level="read_committed"
        ) as consumer,
    ):
        partitions = partitions_of(admin, name)
        if "compact" not in _setting(admin, name, "cleanup.policy"):
            raise Failure(
                f"{name} is not compacted (cleanup.policy=delete); "
                f"'minikafka topic alter {name} --config cleanup.policy=compact' changes that"
            )
        found = measure(admin, partitions)
        ends = consumer.end_offsets(partitions)  # before the first open transaction, if there is one
        counts = {where: count_keys(consumer, where, state.start_offset, ends[where]) for where, state in found.items()}
        before = {where: replace(state, record_count=counts[where].record_count) for where, state in found.items()}
        wanted = [where for where, count in counts.items() if not count.is_compacted]
        superfluous = sum(counts[where].record_count - counts[where].key_count for where in wanted)
        after = before
        if now and wanted:
            _roll(admin, name)
            with settings_for_now(admin, name, {"min.cleanable.dirty.ratio": "0", "min.compaction.lag.ms": "0"}):
                left = _wait_until_compacted(
                    admin, consumer, before, {where: ends[where] for where in wanted}, timeout_s
                )
            sizes = sizes_of(admin, partitions)
            after = {
                where: replace(state, record_count=left.get(where, state.record_count), size_bytes=sizes[where])
                for where, state in before.items()
            }
    _tell(name, before, after, output, did=f"{plural(superfluous, 'record')} gone" if now else None)
    if not now:
        click.echo(f"{plural(superfluous, 'record')} would go; --now compacts", err=True)


def _roll(admin: Admin, topic: str) -> None:
    # For an instant only: as long as it holds nearly every append makes a segment of its own.
    with settings_for_now(admin, topic, {"segment.ms": "1"}):
        pass


def _wait_until_compacted(
    admin: Admin, consumer: Consumer, before: TopicState, ends: Mapping[TopicPartition, int], timeout_s: float
) -> dict[TopicPartition, int]:
    """Read a partition again whenever its size has changed, until each key is there once.

    Returns:
        How many records are left, before these ends.

    Raises:
        Failure: That takes too long.
    """
    deadline = time.monotonic() + timeout_s
    seen = {where: before[where].size_bytes for where in ends}
    left: dict[TopicPartition, int] = {}
    while len(left) < len(ends):
        if time.monotonic() > deadline:
            late = next(where for where in ends if where not in left)
            raise Failure(
                f"{late} is not compacted after {timeout_s:g} s; is a transaction open, or log.cleaner.enable=false?",
                ExitCode.TIMEOUT,
            )
        time.sleep(_LOOK_EVERY_S)
        for where, size_bytes in sizes_of(admin, list(ends)).items():
            if where in left or size_bytes == seen[where]:
                continue
            seen[where] = size_bytes
            count = count_keys(consumer, where, before[where].start_offset, ends[where])
            if count.is_compacted:
                left[where] = count.record_count
                click.echo(f"{where}: compacted", err=True)
    return left


def _setting(admin: Admin, topic: str, name: str) -> str:
    resource = ConfigResource.topic(topic)
    return admin.describe_configs([resource])[resource][name].value or ""


def _tell(topic: str, before: TopicState, after: TopicState, output: str, did: str | None) -> None:
    print_change(topic, before, after, output)
    if did is not None:
        click.echo(did, err=True)
