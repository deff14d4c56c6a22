"""A broker for tests: ready in milliseconds, in this process, gone at the end.

    with running_broker() as minikafka:
        minikafka.topic("orders", partitions=2)
        program_under_test(minikafka.bootstrap_servers)
        assert minikafka.records("orders")

With pytest there is nothing to import: the fixture ``minikafka`` gives each test such a broker of its own.

This module imports nothing before it is used: pytest loads it at every start, in projects that never ask for a broker
too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minikafka.testing.running import RunningBroker, running_broker

__all__ = ["RunningBroker", "running_broker"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module("minikafka.testing.running"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
