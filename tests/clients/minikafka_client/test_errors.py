from __future__ import annotations

import pytest

from minikafka.errors import ErrorCode, KafkaError, RequestTimedOut, TopicAlreadyExists
from minikafka_client.errors import NoBrokersAvailable, Outcome, error_from_code, is_retriable, raise_failures


def test_a_code_becomes_the_exception_that_carries_it() -> None:
    error = error_from_code(36, "topic 'a' is there")
    assert isinstance(error, TopicAlreadyExists)
    assert str(error) == "topic 'a' is there"


@pytest.mark.parametrize("code", [code for code in ErrorCode if code])
def test_every_code_becomes_an_exception_with_that_code(code: ErrorCode) -> None:
    error = error_from_code(code)
    assert error.code is code
    assert str(error) == code.name


def test_a_code_of_the_future_keeps_its_number_in_the_text() -> None:
    error = error_from_code(9999, "new trouble")
    assert error.code is ErrorCode.UNKNOWN_SERVER_ERROR
    assert "9999" in str(error)
    assert "new trouble" in str(error)


def test_network_errors_and_some_codes_are_worth_another_try() -> None:
    assert is_retriable(ConnectionResetError())
    assert is_retriable(NoBrokersAvailable())
    assert is_retriable(RequestTimedOut())
    assert is_retriable(error_from_code(ErrorCode.NOT_LEADER_OR_FOLLOWER))
    assert not is_retriable(error_from_code(ErrorCode.MESSAGE_TOO_LARGE))
    assert not is_retriable(ValueError())


def test_nothing_is_raised_when_nothing_failed() -> None:
    raise_failures({"topic 'a'": Outcome(0, None)})


def test_one_failure_is_raised_by_itself_and_says_what_failed() -> None:
    with pytest.raises(TopicAlreadyExists, match="topic 'b': it is there"):
        raise_failures({"topic 'a'": Outcome(0, None), "topic 'b'": Outcome(36, "it is there")})


def test_several_failures_are_raised_together() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        raise_failures({"topic 'a'": Outcome(17, None), "topic 'b'": Outcome(36, None), "topic 'c'": Outcome(0, None)})
    assert [str(error) for error in raised.value.exceptions] == [
        "topic 'a': INVALID_TOPIC_EXCEPTION",
        "topic 'b': TOPIC_ALREADY_EXISTS",
    ]
    assert all(isinstance(error, KafkaError) for error in raised.value.exceptions)
