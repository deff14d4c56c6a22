"""``minikafka serve``: run a broker until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from minikafka.broker.broker import Broker
from minikafka.cli.banner import banner, seconds_since_process_start
from minikafka.cli.exits import ExitCode, Failure
from minikafka.cli.options import config_options, load_config
from minikafka.cluster.membership import BrokerIdInUse
from minikafka.cluster.store import StoreError
from minikafka.config.sources import LoadedConfig
from minikafka.errors import StorageError
from minikafka.net.handler import Address
from minikafka.net.loop import run
from minikafka.observability.logging import configure, get_logger

_LEVELS = ("debug", "info", "warning", "error", "critical")
_LOG4J_LEVELS = {"trace": "debug", "warn": "warning", "fatal": "critical", "off": "critical"}

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Session:
    """One run of a broker, as the command line asks for it."""

    loaded: LoadedConfig
    style: Literal["json", "pretty"]
    ready_file: Path | None
    in_memory: bool


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="Where clients are served; port 0 takes a free one.")
@click.option("--data-dir", metavar="DIR", help="Where the data are.  [default: minikafka-data]")
@click.option(
    "--memory", is_flag=True, help="A throw-away broker: data in memory, nothing flushed, all gone at the end."
)
@config_options
@click.option("--log", "style", type=click.Choice(["json", "pretty"]), help="[default: pretty on a terminal]")
@click.option("--log-level", type=click.Choice(_LEVELS), help="The least that is logged.  [default: info]")
@click.option(
    "--ready-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Receives HOST:PORT once clients are served; removed at the end.",
)
def serve(
    *,
    listen: str | None,
    data_dir: str | None,
    memory: bool,
    properties: Path | None,
    overrides: tuple[str, ...],
    style: Literal["json", "pretty"] | None,
    log_level: str | None,
    ready_file: Path | None,
) -> int:
    """Run a broker until SIGTERM or Ctrl-C ends it; a second signal ends it at once.

    Settings are Kafka's: --config FILE < environment (MINIKAFKA_LOG_SEGMENT_BYTES=...) < -X key=value and the other
    options.
    """
    if memory and data_dir is not None:
        raise click.UsageError("--memory and --data-dir exclude each other")
    with ExitStack() as stack:
        settings = [f"listeners=PLAINTEXT://{_checked_address(listen)}"] if listen is not None else []
        if data_dir is not None:
            settings.append(f"log.dirs={data_dir}")
        if memory:
            from minikafka.cli.scratch import scratch_directory  # what it imports is of use to no other broker

            directory = stack.enter_context(scratch_directory())
            settings += [f"log.dirs={directory}", "log.flush.on.acks.all=never"]
        loaded = load_config(properties, [*settings, *overrides])
        chosen = style or ("pretty" if sys.stderr.isatty() else "json")
        configure(chosen, log_level or _level_of_image())
        _raise_open_file_limit()
        return run(_serve(_Session(loaded, chosen, ready_file, memory)))


async def _serve(session: _Session) -> int:
    stop = _stop_on_signal()
    broker = Broker(session.loaded)
    with _ready_file(session.ready_file) as announce:
        with _explained(session.loaded):
            await broker.start()
        try:
            address = _reachable(next(iter(broker.addresses.values())))
            announce(str(address))
            _report(session, broker)
            await stop.wait()
        finally:
            await broker.stop()
    return ExitCode.OK


def _report(session: _Session, broker: Broker) -> None:
    config = session.loaded.config
    ready_in_s = seconds_since_process_start()
    addresses = [_shown(name, address) for name, address in broker.addresses.items()]
    if session.style == "pretty":
        click.echo(banner(config, broker.cluster_id, addresses, ready_in_s, in_memory=session.in_memory))
    else:
        _log.info(
            "broker_ready",
            ready_in_s=round(ready_in_s, 3),
            node_id=config.node_id,
            cluster_id=broker.cluster_id,
            addresses=addresses,
            log_dirs=list(config.log_dirs),
        )
    for warning in session.loaded.warnings:
        _log.warning("configuration_warning", detail=warning)


def _stop_on_signal() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process on the spot."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop


class _Announcement:
    """The file that tells others where the broker is, once it serves."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __call__(self, text: str) -> None:
        if self._path is None:
            return
        unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        unfinished.write_text(f"{text}\n")
        unfinished.replace(self._path)  # whoever waits for the file never sees half of it


@contextmanager
def _ready_file(path: Path | None) -> Iterator[_Announcement]:
    if path is not None:
        path.unlink(missing_ok=True)  # an earlier broker's, which was killed
    try:
        yield _Announcement(path)
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


@contextmanager
def _explained(loaded: LoadedConfig) -> Iterator[None]:
    """Turn what stops a start into one line."""
    try:
        yield
    except StorageError as error:
        raise Failure(f"{error}; --data-dir takes another directory") from error
    except BrokerIdInUse as error:
        raise Failure(f"{error}; give this one another with -X node.id=N") from error
    except StoreError as error:
        raise Failure(f"the coordination store cannot be used: {error}; look at {loaded.config.log_dirs[0]}") from error
    except OSError as error:
        # Files have become StorageErrors already: what is left is the network's.
        where = ", ".join(str(listener) for listener in loaded.config.parsed_listeners())
        if error.errno == errno.EADDRINUSE:
            raise Failure(f"{where} is in use by another program; choose another port with --listen") from error
        raise Failure(f"cannot listen on {where}: {error.strerror or error}; see --listen") from error


def _reachable(address: Address) -> Address:
    """An address that a client on this machine can use."""
    match address.host:
        case "0.0.0.0":
            return Address("127.0.0.1", address.port)
        case "::" | "":
            return Address("localhost", address.port)
        case _:
            return address


def _shown(listener: str, address: Address) -> str:
    reachable = _reachable(address)
    return f"{listener}://{reachable}{'' if reachable is address else ' (at every address of this machine)'}"


def _checked_address(listen: str) -> str:
    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65_535 or (":" in host and not host.startswith("[")):
        raise click.BadParameter(f"{listen!r} is not of the form HOST:PORT", param_hint="--listen")
    return listen


def _level_of_image() -> str:
    """The log level that the image's variable asks for, as Kafka's own image understands it."""
    if not os.environ.get("MINIKAFKA_IMAGE"):
        return "info"
    level = os.environ.get("KAFKA_LOG4J_ROOT_LOGLEVEL", "info").lower()
    level = _LOG4J_LEVELS.get(level, level)
    return level if level in _LEVELS else "info"


def _raise_open_file_limit() -> None:
    """Every segment and every connection is an open file, and the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        return  # some systems call the limit infinite and refuse it; what there was then stays
