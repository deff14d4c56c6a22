"""A broker on a loop of its own, in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from minikafka.broker.broker import Broker
from minikafka.config.sources import LoadedConfig, load
from minikafka.net.loop import run
from minikafka.net.server import Address

THROW_AWAY: Mapping[str, str] = {
    "log.flush.on.acks.all": "never",  # nobody wants the data back after a power cut
    "log.retention.ms": "-1",  # a test may stamp its records with any time
    "offsets.topic.num.partitions": "1",  # made with the first group: one directory instead of 50
}
"""Where the brokers of tests differ from those of ``minikafka serve``."""

_HOST = "127.0.0.1"


class BrokerThread:
    """A broker that can be started, stopped, and started again on the same data.

    Args:
        data_dir: Where its data are.
        config: Settings by Kafka's keys, on top of :data:`THROW_AWAY`.
    """

    def __init__(self, data_dir: Path, config: Mapping[str, str]) -> None:
        self._data_dir = data_dir
        self._config = {**THROW_AWAY, **config}
        self._loop: asyncio.AbstractEventLoop
        self._stop_wanted: asyncio.Event
        self._thread: Thread | None = None
        self._ended: Future[None]

    def start(self, port: int = 0) -> Address:
        """Start the broker, on a free port if it is 0, and return where it serves; clients are served from now on.

        Raises:
            ConfigError: A setting is unknown, or its value malformed.
            StorageError: The data directory cannot be used.
            OSError: The port is taken.
        """
        settings = {**self._config, "listeners": f"PLAINTEXT://{_HOST}:{port}", "log.dirs": str(self._data_dir)}
        loaded = load(None, {}, [f"{key}={value}" for key, value in settings.items()])
        started: Future[Address] = Future()
        self._ended = Future()
        self._thread = Thread(target=self._live, args=(loaded, started), name="minikafka-broker", daemon=True)
        self._thread.start()
        try:
            return started.result()
        except BaseException:
            self._thread = None
            raise

    def stop(self) -> None:
        """Stop the broker as an operator does; what went wrong meanwhile is raised.  Stopping again does nothing."""
        if self._thread is None:
            return
        if not self._ended.done():
            self._loop.call_soon_threadsafe(self._stop_wanted.set)
        self._thread.join()
        self._thread = None
        self._ended.result()

    def _live(self, loaded: LoadedConfig, started: Future[Address]) -> None:
        """What the thread does; every error reaches whoever waits for it."""
        try:
            run(self._serve(loaded, started))
        except BaseException as error:  # noqa: BLE001 - a thread has nobody else to tell
            (self._ended if started.done() else started).set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self, loaded: LoadedConfig, started: Future[Address]) -> None:
        broker = Broker(loaded)
        await broker.start()
        try:
            self._loop = asyncio.get_running_loop()
            self._stop_wanted = asyncio.Event()
            started.set_result(next(iter(broker.addresses.values())))
            await self._stop_wanted.wait()
        finally:
            await broker.stop()
