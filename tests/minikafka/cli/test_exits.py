from __future__ import annotations

import pytest

from minikafka.cli.exits import ExitCode, failure_of
from minikafka.errors import InvalidPartitions, KafkaError, RequestTimedOut, UnknownTopicOrPartition


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            UnknownTopicOrPartition("topic 'x' does not exist"),
            1,
            "topic 'x' does not exist; see 'minikafka topic list'",
        ),
        (InvalidPartitions("fewer than before"), 1, "fewer than before"),
        (InvalidPartitions(), 1, "INVALID_PARTITIONS"),
        (RequestTimedOut("no answer"), 4, "no answer; is the broker overloaded?"),
        (TimeoutError(), 4, "timed out; is the broker overloaded?"),
        (ConnectionRefusedError("refused"), 3, "refused; is a broker running?"),
        (FileNotFoundError(2, "No such file", "/x"), 1, "/x: No such file"),
    ],
)
def test_an_error_becomes_a_message_and_an_exit_code(error: Exception, code: int, message: str) -> None:
    failure = failure_of(error)
    assert failure is not None
    assert failure.code == code
    assert failure.message.startswith(message)


def test_several_errors_become_several_lines() -> None:
    failure = failure_of(ExceptionGroup("2 of 2 failed", [KafkaError("one"), KafkaError("two")]))
    assert failure is not None
    assert (failure.code, failure.message) == (ExitCode.FAILURE, "one\ntwo")


@pytest.mark.parametrize("error", [ValueError("x"), ExceptionGroup("g", [KafkaError("one"), ValueError("two")])])
def test_a_bug_is_no_failure(error: Exception) -> None:
    assert failure_of(error) is None
