from __future__ import annotations

import pytest

from minikafka import errors
from minikafka.errors import ErrorCode, KafkaError

OF_THIS_MODULE = (cls for cls in KafkaError.__subclasses__() if cls.__module__ == errors.__name__)
SUBCLASSES = sorted(OF_THIS_MODULE, key=lambda cls: cls.__name__)


def test_the_codes_are_those_of_kafka_without_a_gap() -> None:
    assert [int(code) for code in ErrorCode] == list(range(-1, 134))


@pytest.mark.parametrize("cls", SUBCLASSES, ids=lambda cls: cls.__name__)
def test_an_exception_is_named_in_its_docstring_as_its_code(cls: type[KafkaError]) -> None:
    assert cls.__doc__ is not None
    assert cls.__doc__.startswith(f"{cls.code.name} ({int(cls.code)})")


def test_no_two_exceptions_share_a_code() -> None:
    codes = [cls.code for cls in SUBCLASSES]
    assert len(codes) == len(set(codes))


def test_an_exception_without_a_code_of_its_own_is_an_unknown_server_error() -> None:
    assert KafkaError("x").code is ErrorCode.UNKNOWN_SERVER_ERROR


@pytest.mark.parametrize(
    ("code", "retriable"),
    [
        (ErrorCode.NOT_LEADER_OR_FOLLOWER, True),
        (ErrorCode.KAFKA_STORAGE_ERROR, True),
        (ErrorCode.REQUEST_TIMED_OUT, True),
        (ErrorCode.MESSAGE_TOO_LARGE, False),
        (ErrorCode.INVALID_RECORD, False),
        (ErrorCode.UNKNOWN_SERVER_ERROR, False),
    ],
)
def test_a_client_may_try_again_where_kafka_says_so(code: ErrorCode, retriable: bool) -> None:
    assert code.retriable is retriable


def test_the_module_is_a_vocabulary_and_nothing_else() -> None:
    given = {name for name in vars(errors) if name.isidentifier()}  # pytest adds names that are none
    public = {name for name in given if not name.startswith("_")} - {"annotations", "IntEnum", "ClassVar"}
    assert public == {"ErrorCode", "KafkaError"} | {cls.__name__ for cls in SUBCLASSES}


def test_a_text_fits_a_string_of_the_protocol_whatever_it_quotes() -> None:
    long = str(KafkaError("\U0001f600" * 100_000))
    assert len(long.encode()) < 32_767
    assert long.endswith("...")
    assert str(KafkaError("short")) == "short"
    assert str(KafkaError()) == ""
