"""``minikafka``: the table of its commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from minikafka import __version__
from minikafka.cli.exits import ExitCode, Failure, failure_of
from minikafka.cli.lazy import LazyCommand, LazyGroup

_COMMANDS = {
    "serve": LazyCommand("minikafka.cli.serve:serve", "Run a broker."),
    "topic": LazyCommand("minikafka.cli.topic:topic", "Create, list, describe, alter, delete and look after topics."),
    "produce": LazyCommand("minikafka.cli.produce:produce", "Send lines, CSV rows or JSON lines to a topic."),
    "consume": LazyCommand("minikafka.cli.consume:consume", "Print a topic's records."),
    "tail": LazyCommand("minikafka.cli.consume:tail", "Print a topic's records as they arrive."),
    "group": LazyCommand("minikafka.cli.group:group", "List, describe, watch, move and delete consumer groups."),
    "transaction": LazyCommand(
        "minikafka.cli.transaction:transaction", "List and describe transactions, and end those that hang."
    ),
    "bench": LazyCommand("minikafka.cli.bench:bench", "How fast records are sent and read."),
    "health": LazyCommand("minikafka.cli.health:health", "Whether a broker answers."),
    "log": LazyCommand("minikafka.cli.log:log", "Look into the files of a broker, without a broker."),
    "config": LazyCommand("minikafka.cli.config:config", "What a broker's settings come to."),
    "completion": LazyCommand("minikafka.cli.completion:completion", "Teach a shell to complete command lines."),
}


@click.group(cls=LazyGroup, lazy_commands=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-b", "--bootstrap", metavar="HOST:PORT[,...]", help="Brokers to begin with; each command takes it too.")
@click.version_option(__version__, message="minikafka %(version)s")
@click.pass_context
def cli(ctx: click.Context, bootstrap: str | None) -> None:  # options.given_bootstrap looks it up
    """A Kafka that installs with pip: the broker and the programs around it.

    Exit codes: 0 well done, 1 failed, 2 wrong usage or configuration, 3 no broker reached, 4 timed out.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, the process's own when None, and return its exit code."""
    try:
        result = cli.main(args=arguments, prog_name="minikafka", standalone_mode=False)
    except click.UsageError as error:
        return _end(Failure(_usage_text(error), ExitCode.USAGE))
    except click.ClickException as error:
        return _end(error)
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        return _end(failure)
    return result if isinstance(result, int) else ExitCode.OK


def main() -> None:
    """The entry point of the ``minikafka`` program."""
    sys.exit(run())


def _end(error: click.ClickException) -> int:
    click.echo(f"minikafka: {error.format_message()}", err=True)
    return error.code if isinstance(error, Failure) else error.exit_code


def _usage_text(error: click.UsageError) -> str:
    where = error.ctx.command_path if error.ctx is not None else "minikafka"
    return f"{error.format_message().rstrip('.')}; see '{where} --help'"
