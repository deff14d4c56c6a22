from __future__ import annotations

import logging

import pytest

from minikafka.types import TopicPartition
from minikafka_client.consumer.beginnings import Beginning, say_what_is_missing, say_where_it_begins


def said(caplog: pytest.LogCaptureFixture, *beginnings: Beginning) -> list[tuple[str, str]]:
    with caplog.at_level(logging.INFO):
        say_where_it_begins(beginnings)
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_topic_takes_one_line_whatever_the_number_of_its_partitions(caplog: pytest.LogCaptureFixture) -> None:
    lines = said(caplog, *(Beginning(TopicPartition("orders", number), 0, 0, "") for number in (1, 0)))
    assert lines == [("INFO", "consumer: orders, starting at orders[0] at 0, orders[1] at 0")]


def test_what_is_skipped_is_a_warning_that_says_how_to_read_it(caplog: pytest.LogCaptureFixture) -> None:
    why = "no committed offset for group billing"
    (line,) = said(caplog, Beginning(TopicPartition("orders", 0), 4211, 4211, why))
    assert line == (
        "WARNING",
        "consumer: no committed offset for group billing on orders, starting at LATEST (orders[0] at 4211). "
        '4211 older messages are skipped; auto_offset_reset="earliest" or seek_to_beginning() reads them',
    )


def test_topics_and_reasons_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    lines = said(
        caplog,
        Beginning(TopicPartition("orders", 0), 3, 3, ""),
        Beginning(TopicPartition("orders", 1), 0, 0, "no committed offset for group g"),
        Beginning(TopicPartition("bills", 0), 0, 0, ""),
    )
    assert [level for level, _ in lines] == ["INFO", "WARNING", "INFO"]


def test_nothing_begins_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog) == []


def test_each_missing_topic_is_named(caplog: pytest.LogCaptureFixture) -> None:
    say_what_is_missing({"ordres", "blils"})
    assert caplog.messages == [
        "consumer: there is no topic blils; it will be read as soon as there is",
        "consumer: there is no topic ordres; it will be read as soon as there is",
    ]
