"""Settings of a topic that hold for a moment only.

Kafka's protocol has no request that says "roll", "expire" or "compact": brokers do these things when a topic's settings
ask for them.  So a command sets what asks for it now, and puts back what was there, whatever happens meanwhile; what it
sets is printed first, for the case that it is killed.  A minikafka broker obeys before it answers; a Kafka broker does
at its next look, ``log.retention.check.interval.ms`` later or with the next append.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from minikafka_client.admin.types import AlterConfig, AlterOperation, ConfigResource, ConfigSource
from minikafka_client.sync import Admin


@contextmanager
def settings_for_now(admin: Admin, topic: str, settings: Mapping[str, str]) -> Iterator[None]:
    """Have these settings hold within the block.

    Raises:
        KafkaError: The broker does not take them, or does not take the old ones back.
    """
    resource = ConfigResource.topic(topic)
    before = admin.describe_configs([resource])[resource]
    restored = []
    for name in settings:
        entry = before.get(name)
        if entry is not None and entry.source is ConfigSource.DYNAMIC_TOPIC:
            restored.append(AlterConfig(name, entry.value))
        else:
            restored.append(AlterConfig(name, operation=AlterOperation.DELETE))
    listed = " ".join(f"{name}={value}" for name, value in settings.items())
    click.echo(f"{topic}: {listed}, for now", err=True)
    try:
        admin.alter_configs({resource: [AlterConfig(name, value) for name, value in settings.items()]})
        yield
    finally:
        with _not_interrupted():
            admin.alter_configs({resource: restored})


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Let Ctrl-C wait, where it could come at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
