from __future__ import annotations

import json

import pytest

from minikafka.cli.console import age_text, plural, print_json, print_table


def test_numbers_are_flush_right_and_text_is_flush_left(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "COUNT"), [("a", 5), ("long", 12345)])
    assert capsys.readouterr().out == "NAME  COUNT\na         5\nlong  12345\n"


def test_json_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"name": "ä", "ids": (1, 2), "none": None}])
    assert json.loads(capsys.readouterr().out) == [{"name": "ä", "ids": [1, 2], "none": None}]


@pytest.mark.parametrize(
    ("count", "noun", "text"), [(1, "topic", "1 topic"), (0, "topic", "0 topics"), (2000, "batch", "2,000 batches")]
)
def test_plural(count: int, noun: str, text: str) -> None:
    assert plural(count, noun) == text


@pytest.mark.parametrize(
    ("age_ms", "text"),
    [(-1, "0s"), (999, "0s"), (59_999, "59s"), (60_000, "1m"), (5_400_000, "1h"), (172_800_000, "2d")],
)
def test_ages_are_written_as_they_are_given(age_ms: int, text: str) -> None:
    assert age_text(age_ms) == text
