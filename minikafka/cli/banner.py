"""What ``minikafka serve`` says once it serves: how soon, whose data, where, and what differs from Kafka."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from minikafka import __version__
from minikafka.config.broker import FLUSH_NEVER, BrokerConfig
from minikafka.config.differences import differences_from_kafka

_IMPORTED_AT = time.monotonic()
_SHOWN_DIFFERENCES = 4


def seconds_since_process_start() -> float:
    """How long this process has been running, to a hundredth; Python's own start counts too where it can be known."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22, starttime; the first two are cut off
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError, ValueError, IndexError):
        return time.monotonic() - _IMPORTED_AT
    return age if 0 <= age < 3600 else time.monotonic() - _IMPORTED_AT


def banner(
    config: BrokerConfig, cluster_id: str, addresses: Sequence[str], ready_in_s: float, *, in_memory: bool
) -> str:
    """The lines for the terminal.

    Args:
        config: The configuration in effect.
        cluster_id: The id of the cluster.
        addresses: Where clients are served, as text.
        ready_in_s: How long the start took.
        in_memory: Whether the data go with the broker.
    """
    data = _data(config, in_memory)
    lines = [
        f"minikafka {__version__}  ready in {ready_in_s:.2f} s   cluster {cluster_id}   data {data}",
        f"  serves     {'   '.join(addresses)}      stop with Ctrl-C",
    ]
    differences = differences_from_kafka(config)
    if differences:
        shown = " ".join(f"{difference.name}={difference.ours}" for difference in differences[:_SHOWN_DIFFERENCES])
        more = len(differences) - _SHOWN_DIFFERENCES
        rest = f" and {more} more" if more > 0 else ""
        lines.append(f"  differs from Kafka: {shown}{rest}  (minikafka config show --origin)")
    return "\n".join(lines)


def _data(config: BrokerConfig, in_memory: bool) -> str:
    if in_memory:
        return "in memory (gone when this ends)"
    promise = "not flushed" if config.log_flush_on_acks_all == FLUSH_NEVER else "durable: acks=all waits for the disk"
    return f"{', '.join(config.log_dirs)} ({promise})"
