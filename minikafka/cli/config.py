"""``minikafka config``: what a broker's settings come to, without a broker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from minikafka.cli.console import JsonValue, print_json, print_table
from minikafka.cli.exits import ExitCode, Failure
from minikafka.cli.options import config_options, load_config
from minikafka.config.broker import BROKER_KEYS
from minikafka.config.definition import ConfigKey, to_text, unknown_key
from minikafka.config.sources import LoadedConfig, OriginKind

_HIDDEN = "********"


@click.group()
def config() -> None:
    """What a broker's settings come to."""


@config.command()
@click.argument("keys", nargs=-1, metavar="[KEY...]")
@click.option(
    "--origin", is_flag=True, help="Also where each value comes from, and Kafka's default where ours differs."
)
@click.option("--changed", is_flag=True, help="Only settings that are not at their default.")
@config_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show(
    *, keys: Sequence[str], origin: bool, changed: bool, properties: Path | None, overrides: Sequence[str], output: str
) -> None:
    """Print the settings that 'minikafka serve' would run with: all, or those named.

    File, environment and -X count as they do for serve. The text can be saved as a server.properties.
    """
    loaded = load_config(properties, overrides)
    shown = [
        known for known in _chosen(keys) if not changed or loaded.origins[known.name].kind is not OriginKind.DEFAULT
    ]
    if output == "json":
        print_json([_as_json(loaded, known) for known in shown])
    elif origin:
        rows = [(known.name, _value(loaded, known), _origin(loaded, known)) for known in shown]
        print_table(("KEY", "VALUE", "ORIGIN"), rows)
    else:
        for known in shown:
            value = _value(loaded, known)
            click.echo(f"{known.name}={value}" if value else f"# {known.name}=")
    for warning in loaded.warnings:
        click.echo(f"minikafka: {warning}", err=True)


def _chosen(keys: Sequence[str]) -> list[ConfigKey]:
    for name in keys:
        if name not in BROKER_KEYS:
            raise Failure(f"{unknown_key(name, BROKER_KEYS)}; 'minikafka config show' lists the keys", ExitCode.USAGE)
    return [BROKER_KEYS[name] for name in keys or sorted(BROKER_KEYS)]


def _value(loaded: LoadedConfig, known: ConfigKey) -> str:
    value = to_text(getattr(loaded.config, known.attribute)) or ""
    return _HIDDEN if known.sensitive and value else value


def _origin(loaded: LoadedConfig, known: ConfigKey) -> str:
    origin = loaded.origins[known.name]
    if origin.kind is OriginKind.DEFAULT and known.kafka_default is not None:
        return f"{origin} (Kafka's is {known.kafka_default})"
    return str(origin)


def _as_json(loaded: LoadedConfig, known: ConfigKey) -> dict[str, JsonValue]:
    origin = loaded.origins[known.name]
    is_shown = not known.sensitive
    return {
        "key": known.name,
        "value": to_text(getattr(loaded.config, known.attribute)) if is_shown else None,
        "origin": origin.kind.value,
        "origin_detail": origin.detail or None,
        "default": to_text(known.default) if is_shown else None,
        "kafka_default": known.kafka_default if known.kafka_default is not None else to_text(known.default),
        "documentation": known.documentation,
    }
