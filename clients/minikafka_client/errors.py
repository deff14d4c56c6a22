"""What can go wrong on the client's side, and how an error code becomes an exception."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from inspect import isclass
from typing import NamedTuple

from minikafka import errors
from minikafka.errors import ErrorCode, KafkaError
from minikafka.types import TopicPartition
from minikafka_client.consumer.message import Message

NETWORK_ERRORS = (OSError, errors.RequestTimedOut)
"""What a request raises when its connection failed it: the broker may or may not have acted on it."""


class NoBrokersAvailable(ConnectionError):
    """None of the brokers that were tried answered; the text says why, address by address."""


class NoOffsetForPartition(KafkaError):
    """A partition has no position, and ``auto_offset_reset`` is "none"."""


class CommitFailed(KafkaError):
    """Offsets were not committed, for the partitions are no longer this consumer's: the group went on without it."""


class TransactionAborted(KafkaError):
    """The transaction that a record was part of was aborted: nobody who reads committed records will see it."""


class SerializationError(ValueError):
    """A key or value cannot be turned into bytes; nothing of the record was sent."""


class DeserializationError(KafkaError):
    """A deserializer failed; the message is not skipped, but met again by the next poll.

    Seek to ``offset + 1`` of ``topic_partition`` to go on after it.  ``message`` is what could not be read, its key and
    value as bytes: to be looked at, or put aside.
    """

    def __init__(self, message: Message, why: str) -> None:
        self.message = message
        self.topic_partition = TopicPartition(message.topic, message.partition)
        self.offset = message.offset
        super().__init__(f"{self.topic_partition}@{self.offset}: {why}")


class ClientClosed(RuntimeError):
    """The producer, consumer or admin was closed."""


def is_retriable(error: Exception) -> bool:
    """Whether the same request may succeed when it is sent again, perhaps to another broker."""
    return error.code.retriable if isinstance(error, KafkaError) else isinstance(error, NETWORK_ERRORS)


def error_from_code(code: int, message: str | None = None) -> KafkaError:
    """The exception for an error code of a response.

    Args:
        code: Not 0.  A code this client does not know becomes UNKNOWN_SERVER_ERROR, with the number in the text.
        message: What the broker said beside the code, if anything.
    """
    try:
        known = ErrorCode(code)
    except ValueError:
        return KafkaError(f"unknown error code {code}: {message or 'the broker gave no message'}")
    return _exception_class(known)(message or known.name)


class Outcome(NamedTuple):
    """What a response says about one of several things that were asked for."""

    code: int
    message: str | None


Outcomes = Mapping[str, Outcome]
"""By the name that an error message gives to the thing: "topic 'orders'"."""

# What is said of a thing when the broker gives no message.
_WORDS: Mapping[int, str] = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: "it does not exist",
    ErrorCode.GROUP_ID_NOT_FOUND: "it does not exist",
    ErrorCode.TRANSACTIONAL_ID_NOT_FOUND: "it does not exist",
    ErrorCode.NON_EMPTY_GROUP: "it has members",
    ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC: "members of the group read the topic",
}


def raise_failures(outcomes: Outcomes) -> None:
    """Raise what went wrong, if anything did.

    Raises:
        KafkaError: One thing failed.
        ExceptionGroup: Several did; the group has a KafkaError for each.
    """
    failures = [
        error_from_code(
            outcome.code, f"{name}: {outcome.message or _WORDS.get(outcome.code) or error_name(outcome.code)}"
        )
        for name, outcome in outcomes.items()
        if outcome.code != ErrorCode.NONE
    ]
    if len(failures) > 1:
        raise ExceptionGroup(f"{len(failures)} of {len(outcomes)} failed", failures)
    if failures:
        raise failures[0]


def error_name(code: int) -> str:
    """Kafka's name for an error code, or the number as text."""
    return ErrorCode(code).name if code in ErrorCode._value2member_map_ else str(code)


@cache
def _exception_class(code: ErrorCode) -> type[KafkaError]:
    for value in vars(errors).values():
        if isclass(value) and issubclass(value, KafkaError) and value.code is code:
            return value
    name = "".join(word.capitalize() for word in code.name.split("_"))
    return type(name, (KafkaError,), {"code": code, "__doc__": f"{code.name} ({code.value})."})
