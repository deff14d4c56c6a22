from __future__ import annotations

import subprocess
import sys

from minikafka.broker.api_table import api_table
from minikafka.broker.routes import ROUTES


def test_there_is_a_row_for_each_route_in_the_order_of_the_keys() -> None:
    rows = api_table().splitlines()[2:]
    assert [int(row.split("|")[1]) for row in rows] == sorted(int(route.api_key) for route in ROUTES)


def test_names_are_kafkas() -> None:
    assert "| OffsetForLeaderEpoch | 2-4 |" in api_table()


def test_versions_that_are_offered_but_refused_are_told_apart() -> None:
    assert "| Produce | 3-13 (offered from 0, as Kafka does) |" in api_table()


def test_the_module_prints_the_table() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "minikafka.broker.api_table"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == api_table() + "\n"
