"""Options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from minikafka.cli.exits import ExitCode, Failure

if TYPE_CHECKING:
    from minikafka.config.sources import LoadedConfig

DEFAULT_BOOTSTRAP = "localhost:9092"
BOOTSTRAP_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
CLIENT_ID = "minikafka-cli"
"""How the brokers' logs name the commands."""

_AGE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

Command = TypeVar("Command", bound=Callable[..., Any])


def given_bootstrap(ctx: click.Context, value: str | None) -> str | None:
    """What was said about where the brokers are: after the command, before it, or in the environment."""
    return value or ctx.find_root().params.get("bootstrap") or os.environ.get(BOOTSTRAP_VARIABLE) or None


def _bootstrap(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str:
    from minikafka_client.metadata import parse_addresses

    bootstrap = given_bootstrap(ctx, value) or DEFAULT_BOOTSTRAP
    try:
        parse_addresses(bootstrap)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=parameter) from None
    return bootstrap


def bootstrap_option(command: Command) -> Command:
    """``-b``: the brokers to begin with, passed on as ``bootstrap``."""
    return click.option(
        "-b",
        "--bootstrap",
        metavar="HOST:PORT[,...]",
        callback=_bootstrap,
        help=f"Brokers to begin with.  [default: ${BOOTSTRAP_VARIABLE}, or {DEFAULT_BOOTSTRAP}]",
    )(command)


def output_option(command: Command) -> Command:
    """``-o``: a table for people, JSON for programs, passed on as ``output``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="How to print the result.",
    )(command)


def config_options(command: Command) -> Command:
    """``--config`` and ``-X``, passed on as ``properties`` and ``overrides``."""
    file = click.option(
        "--config",
        "properties",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Read settings from a file such as Kafka's server.properties.",
    )
    override = click.option(
        "-X", "overrides", metavar="KEY=VALUE", multiple=True, help="Set one of Kafka's broker settings; repeatable."
    )
    return file(override(command))


def load_config(properties: Path | None, overrides: Sequence[str]) -> LoadedConfig:
    """The configuration that a broker gets from these options and the environment.

    Raises:
        Failure: It is wrong.
    """
    from minikafka.config.definition import ConfigError
    from minikafka.config.sources import load

    try:
        return load(properties, os.environ, overrides)
    except ConfigError as error:
        raise Failure(f"{error}; 'minikafka config show' lists the keys", ExitCode.USAGE) from None


def key_values(ctx: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """A click callback that turns repeated ``KEY=VALUE`` into a dictionary.

    Raises:
        BadParameter: A value has no '=', or nothing in front of it.
    """
    pairs: dict[str, str] = {}
    for value in values:
        name, separator, text = value.partition("=")
        if not separator or not name.strip():
            raise click.BadParameter(f"{value!r} is not of the form KEY=VALUE", ctx=ctx, param=parameter)
        pairs[name.strip()] = text
    return pairs


def age_option(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A click callback that turns ``10m`` into milliseconds; an option that is not given has none.

    Raises:
        BadParameter: It is no age.
    """
    if value is None:
        return None
    age_ms = parse_age(value)
    if age_ms is None:
        raise click.BadParameter(f"{value!r} is no age such as 30s, 10m, 2h or 7d", ctx=ctx, param=parameter)
    return age_ms


def parse_age(text: str) -> int | None:
    """``10m`` in milliseconds; None when it is no age."""
    match = _AGE.fullmatch(text)
    return None if match is None else int(float(match[1]) * _UNITS_MS[match[2]])
