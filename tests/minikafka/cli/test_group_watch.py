from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from minikafka.cli import group_watch
from minikafka.cli.group_progress import GroupProgress
from minikafka.errors import GroupIdNotFound
from minikafka_client.admin.types import GroupDescription, GroupState, GroupType


class Enough(Exception):
    """In place of Ctrl-C."""


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the broker says each time, and then Ctrl-C."""
    said: list[Any] = []
    group = GroupDescription("billing", GroupType.CLASSIC, GroupState.EMPTY, "consumer", "", 1, ())

    def progress_of(_admin: object, _names: object) -> list[GroupProgress]:
        answer = next(rest)
        if answer is not None:
            raise answer
        return [GroupProgress(group, ())]

    def following() -> Iterator[Any]:
        yield from itertools.chain(said, [Enough()])

    rest = following()
    monkeypatch.setattr(group_watch, "progress_of", progress_of)
    return said


def test_a_broker_that_does_not_answer_is_asked_again(answers: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    answers += [None, ConnectionError("no broker answered"), None]
    with pytest.raises(Enough):
        group_watch.watch_group(None, "billing", 0.001)  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    assert out.count("GROUP billing") == 2
    assert err == "minikafka: no broker answered; is a broker running? 'minikafka serve' starts one\n"


def test_a_group_that_cannot_be_shown_even_once_is_an_error(answers: list[Any]) -> None:
    answers.append(GroupIdNotFound("group 'billing' does not exist"))
    with pytest.raises(GroupIdNotFound):
        group_watch.watch_group(None, "billing", 0.001)  # type: ignore[arg-type]
