"""``minikafka group``: list, describe, watch, move and delete consumer groups."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import click

from minikafka.cli import group_seek
from minikafka.cli.complete import group_names, topic_names
from minikafka.cli.console import confirm, plural, print_json, print_table
from minikafka.cli.exits import Failure
from minikafka.cli.group_progress import progress_of
from minikafka.cli.group_watch import print_progress, watch_group
from minikafka.cli.options import CLIENT_ID, bootstrap_option, output_option
from minikafka.cli.places import PLACE_HELP, Place, place_option
from minikafka_client.admin.types import GroupState, GroupType
from minikafka_client.sync import Admin, Consumer

# A group that is watched is asked for again: rather soon than late.
_WATCH_TIMEOUT_MS = 5_000


def _one_of(kind: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([known.value for known in kind if known != "Unknown"], case_sensitive=False)


@click.group()
def group() -> None:
    """List, describe, watch, move and delete consumer groups."""


@group.command("list")
@click.option("--state", "states", type=_one_of(GroupState), multiple=True, help="Only groups in this state.")
@click.option("--type", "types", type=_one_of(GroupType), multiple=True, help="Only groups of this protocol.")
@bootstrap_option
@output_option
def list_(*, states: Sequence[str], types: Sequence[str], bootstrap: str, output: str) -> None:
    """List all groups."""
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        groups = admin.list_groups(states=states, types=types)
    if output == "json":
        print_json(
            [{"group": g.group_id, "state": g.state, "type": g.type, "protocol_type": g.protocol_type} for g in groups]
        )
    elif groups:
        print_table(("GROUP", "STATE", "TYPE"), [(g.group_id, g.state, g.type) for g in groups])
    else:
        click.echo("no groups; 'minikafka consume TOPIC -g GROUP' makes one", err=True)


@group.command()
@click.argument("names", nargs=-1, required=True, metavar="GROUP...", shell_complete=group_names)
@bootstrap_option
@output_option
def describe(names: Sequence[str], bootstrap: str, output: str) -> None:
    """Show the members of groups, and how far they are in each partition.

    LAG is how many records a group has still to acknowledge: those after what it has committed, or all that are there
    where it has committed nothing.
    """
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        described = progress_of(admin, names)
    if output == "json":
        print_json([progress.as_json() for progress in described])
        return
    for progress in described:
        print_progress(progress)


@group.command()
@click.argument("name", metavar="GROUP", shell_complete=group_names)
@click.option("--interval", "interval_s", type=click.FloatRange(min=0.05), metavar="S", default=1.0, show_default=True)
@bootstrap_option
def watch(name: str, interval_s: float, bootstrap: str) -> None:
    """Show how far GROUP is, again and again until Ctrl-C."""
    with Admin(bootstrap, client_id=CLIENT_ID, request_timeout_ms=_WATCH_TIMEOUT_MS) as admin:
        try:
            watch_group(admin, name, interval_s)
        except KeyboardInterrupt:
            click.echo()


@group.command(epilog=PLACE_HELP)
@click.argument("name", metavar="GROUP", shell_complete=group_names)
@click.option("--to", "place", metavar="PLACE", callback=place_option, help="Where the group shall go on.")
@click.option("--by", "shift", type=int, metavar="N", help="So many records further on, or back: --by -10.")
@click.option("--topic", "topics", multiple=True, shell_complete=topic_names, help="[default: what it has committed]")
@click.option("-p", "--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="[default: all]")
@click.option("--execute", is_flag=True, help="Do it.  [default: only show what would change]")
@bootstrap_option
@output_option
def seek(
    *,
    name: str,
    place: Place | None,
    shift: int | None,
    topics: Sequence[str],
    partitions: Sequence[int],
    execute: bool,
    bootstrap: str,
    output: str,
) -> None:
    """Have GROUP go on in another place, once its members have stopped.

    A group that does not exist yet needs --topic, and comes into being.
    """
    if (place is None) == (shift is None):
        raise click.UsageError("Give --to or --by")
    with (
        Admin(bootstrap, client_id=CLIENT_ID) as admin,
        Consumer(bootstrap, client_id=CLIENT_ID, allow_auto_create_topics=False) as consumer,
    ):
        moves = group_seek.plan(group_seek.Seek(name, place, shift, topics, partitions), admin, consumer)
        if execute:
            group_seek.carry_out(name, moves, admin)
    if output == "json":
        print_json({"group": name, "executed": execute, "partitions": [move.as_json() for move in moves]})
    else:
        print_table(group_seek.HEADER, [move.row() for move in moves])
    changed = plural(sum(move.changes for move in moves), "partition")
    click.echo(f"{changed} changed" if execute else f"{changed} would change; --execute does it", err=True)


@group.command()
@click.argument("names", nargs=-1, required=True, metavar="GROUP...", shell_complete=group_names)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@bootstrap_option
def delete(names: Sequence[str], yes: bool, bootstrap: str) -> None:
    """Delete groups, and with them how far they are.

    A group that is started again after that begins where a new one does.
    """
    if not yes and not confirm(f"Delete {plural(len(names), 'group')} ({', '.join(names)}) and what was committed?"):
        raise Failure("nothing was deleted")
    with Admin(bootstrap, client_id=CLIENT_ID) as admin:
        admin.delete_groups(names)
    for name in names:
        click.echo(f"deleted group {name}")
