"""``minikafka transaction``: list and describe transactions, and end those that nobody else will."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from minikafka.cli.complete import topic_names, transactional_ids
from minikafka.cli.console import JsonValue, age_text, confirm, print_json, print_table
from minikafka.cli.exits import Failure
from minikafka.cli.group_progress import place_name
from minikafka.cli.open_transactions import HEADER, open_transactions
from minikafka.cli.options import CLIENT_ID, age_option, bootstrap_option, output_option
from minikafka.cli.topic_state import partitions_of
from minikafka.clock import SystemClock
from minikafka.types import TopicPartition
from minikafka_client.admin.types import TransactionDescription, TransactionState
from minikafka_client.sync import Admin

_OPEN = (TransactionState.ONGOING, TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT)
_LONGEST_TIMEOUT_MS = 15 * 60_000  # transaction.max.timeout.ms, unless somebody has changed it


@click.group()
def transaction() -> None:
    """List and describe transactions, and end those that hang."""


@transaction.command("list")
@click.option(
    "--state",
    "states",
    type=click.Choice([state.value for state in TransactionState if state != "Unknown"], case_sensitive=False),
    multiple=True,
    help="Only transactional ids in this state.",
)
@click.option(
    "--running-for", "age_ms", metavar="AGE", callback=age_option, help="Only open ones that are older: 30s, 10m, 2h."
)
@click.option("--id", "pattern", metavar="PATTERN", help="Only transactional ids that the expression matches.")
@bootstrap_option
@output_option
def list_(*, states: Sequence[str], age_ms: int | None, pattern: str | None, bootstrap: str, output: str) -> None:
    """List all transactional ids, with a transaction or without."""
    if age_ms is not None:
        states = states or _OPEN
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        found = admin.list_transactions(states=states, running_for_ms=age_ms, transactional_id_pattern=pattern)
    if output == "json":
        print_json(
            [{"transactional_id": t.transactional_id, "state": t.state, "producer_id": t.producer_id} for t in found]
        )
    elif found:
        print_table(
            ("TRANSACTIONAL ID", "STATE", "PRODUCER"), [(t.transactional_id, t.state, t.producer_id) for t in found]
        )
    else:
        click.echo("no transactional ids; a producer with a transactional_id makes one", err=True)


@transaction.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=transactional_ids)
@bootstrap_option
@output_option
def describe(ids: Sequence[str], bootstrap: str, output: str) -> None:
    """Show who has a transactional id, and what it has open."""
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        described = admin.describe_transactions(ids).values()
    if output == "json":
        print_json([_as_json(found) for found in described])
        return
    now_ms = SystemClock().now_ms()
    print_table(
        ("TRANSACTIONAL ID", "STATE", "PRODUCER", "EPOCH", "COORDINATOR", "TIMEOUT", "OPEN FOR", "PARTITIONS"),
        [
            (
                found.transactional_id,
                found.state,
                found.producer_id,
                found.producer_epoch,
                found.coordinator_id,
                age_text(found.timeout_ms),
                "-"
                if found.start_time_ms is None or found.state not in _OPEN
                else age_text(now_ms - found.start_time_ms),
                ", ".join(map(place_name, sorted(found.partitions))) or "-",
            )
            for found in described
        ],
    )


@transaction.command("find-hanging")
@click.argument("topics", nargs=-1, metavar="[TOPIC...]", shell_complete=topic_names)
@click.option(
    "--older-than",
    "age_ms",
    metavar="AGE",
    callback=age_option,
    help="Only those whose last record is older.  [default: 15m, the longest that a transaction may take]",
)
@bootstrap_option
@output_option
def find_hanging(*, topics: Sequence[str], age_ms: int | None, bootstrap: str, output: str) -> None:
    """Find what is open, and no coordinator will end.

    Whoever reads committed records of such a partition waits for ever.  Without TOPIC all topics are looked at.
    """
    now_ms = SystemClock().now_ms()
    before_ms = now_ms - (_LONGEST_TIMEOUT_MS if age_ms is None else age_ms)
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        infos = admin.describe_topics(topics).values() if topics else admin.list_topics(include_internal=True)
        partitions = [TopicPartition(info.name, there.partition) for info in infos for there in info.partitions]
        found = [
            one
            for one in open_transactions(admin, partitions)
            if one.hangs and one.producer.last_timestamp_ms <= before_ms
        ]
    if output == "json":
        print_json([one.as_json() for one in found])
    elif found:
        print_table(HEADER, [one.row(now_ms) for one in found])
        click.echo("'minikafka transaction abort TOPIC -p PARTITION --start-offset START' ends one", err=True)
    else:
        click.echo("no transaction hangs", err=True)


@transaction.command()
@click.argument("topic", shell_complete=topic_names)
@click.option("-p", "--partition", "number", type=click.IntRange(min=0), required=True, help="Where it hangs.")
@click.option("--start-offset", type=click.IntRange(min=0), required=True, help="As find-hanging tells it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@bootstrap_option
def abort(*, topic: str, number: int, start_offset: int, yes: bool, bootstrap: str) -> None:
    """Abort the transaction that hangs in a partition of TOPIC.

    One that its coordinator knows of is left to it: to abort that in one partition alone would tear it.
    """
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        (where,) = partitions_of(admin, topic, [number])
        starting = {one.producer.transaction_start_offset: one for one in open_transactions(admin, [where])}
        found = starting.get(start_offset)
        if found is None:
            raise Failure(
                f"no transaction that is open in {place_name(where)} starts at offset {start_offset}; "
                f"see 'minikafka transaction find-hanging {topic} --older-than 0s'"
            )
        if not found.hangs:
            raise Failure(
                f"the coordinator of {found.transactional_id!r} knows of this transaction, and ends it in time; "
                f"see 'minikafka transaction describe {found.transactional_id}'"
            )
        if not yes and not confirm(f"Abort what producer {found.producer.producer_id} wrote to {place_name(where)}?"):
            raise Failure("nothing was aborted")
        admin.abort_transaction(where, found.producer)
    click.echo(f"aborted the transaction in {place_name(where)} that starts at offset {start_offset}")


def _as_json(found: TransactionDescription) -> dict[str, JsonValue]:
    return {
        "transactional_id": found.transactional_id,
        "state": found.state,
        "producer_id": found.producer_id,
        "producer_epoch": found.producer_epoch,
        "coordinator_id": found.coordinator_id,
        "timeout_ms": found.timeout_ms,
        "start_time_ms": found.start_time_ms,
        "partitions": _places(found.partitions),
    }


def _places(partitions: Iterable[TopicPartition]) -> list[JsonValue]:
    return [{"topic": topic, "partition": partition} for topic, partition in sorted(partitions)]
