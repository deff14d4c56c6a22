import json
import threading

import pytest

from minikafka.observability import events
from minikafka.types import uuid_text


@pytest.fixture
def event_log(tmp_path):
    path = tmp_path / "events.jsonl"
    events.open_log(path)
    yield path
    events.open_log(None)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_without_a_log_nothing_happens():
    events.record(events.LogFlushed("orders", 0, 5))


def test_an_event_is_one_line_with_its_name_and_fields(event_log):
    events.record(events.LeaderElected("orders", 2, leader_id=1, leader_epoch=3, log_end_offset=10))
    (line,) = lines(event_log)
    assert line.pop("monotonic") > 0
    assert line == {
        "event": "LeaderElected",
        "topic": "orders",
        "partition": 2,
        "leader_id": 1,
        "leader_epoch": 3,
        "log_end_offset": 10,
    }


def test_topic_ids_are_written_as_kafka_prints_them(event_log):
    events.record(events.PartitionCreated("orders", 0, bytes(range(16))))
    assert lines(event_log)[0]["topic_id"] == uuid_text(bytes(range(16)))


def test_time_never_goes_back(event_log):
    for offset in range(20):
        events.record(events.LogFlushed("orders", 0, offset))
    times = [line["monotonic"] for line in lines(event_log)]
    assert times == sorted(times)


def test_a_log_is_continued_when_it_is_opened_again(event_log):
    events.record(events.LogFlushed("orders", 0, 1))
    events.open_log(event_log)
    events.record(events.LogFlushed("orders", 0, 2))
    assert [line["end_offset"] for line in lines(event_log)] == [1, 2]


def test_lines_of_several_threads_stay_whole(event_log):
    def write(partition):
        for offset in range(200):
            events.record(events.LogFlushed("orders", partition, offset))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(event_log)) == 800
