"""All clients, as parameters of tests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.clients.aio import Aiokafka
from tests.interop.clients.command_line import CommandLine
from tests.interop.clients.confluent import Confluent
from tests.interop.clients.kafka_python import KafkaPython
from tests.interop.clients.kcat import EXECUTABLE, Kcat
from tests.interop.clients.sdk import Sdk

WITH_KCAT = pytest.mark.skipif(EXECUTABLE is None, reason="kcat is not installed")


def _params(*clients: Any) -> list[Any]:
    return [
        pytest.param(client, id=client.name, marks=[WITH_KCAT] if isinstance(client, Kcat) else [])
        for client in clients
    ]


LIBRARIES = _params(Confluent(), Aiokafka(), KafkaPython(), Sdk())
"""Implement all protocols."""
BUT_THE_COMMAND_LINE = [*LIBRARIES, *_params(Kcat())]
SENDERS = [*BUT_THE_COMMAND_LINE, *_params(CommandLine())]
READERS = SENDERS
