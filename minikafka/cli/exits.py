"""How a command ends: its exit code, and one line on standard error that says what is wrong and what to do next."""

from __future__ import annotations

from enum import IntEnum

import click

from minikafka.errors import ErrorCode, KafkaError

_NEXT_STEPS = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: "see 'minikafka topic list', or make it with 'minikafka topic create'",
    ErrorCode.TOPIC_ALREADY_EXISTS: "see 'minikafka topic describe', or change it with 'minikafka topic alter'",
    ErrorCode.INVALID_TOPIC_EXCEPTION: "use letters, digits, '.', '_' and '-', at most 249",
    ErrorCode.INVALID_REPLICATION_FACTOR: "there cannot be more replicas than brokers",
    ErrorCode.MESSAGE_TOO_LARGE: "raise the topic's max.message.bytes with 'minikafka topic alter --config'",
    ErrorCode.KAFKA_STORAGE_ERROR: "look at the broker's log and at the disk",
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE: "use another --compression",
    ErrorCode.GROUP_ID_NOT_FOUND: "see 'minikafka group list'",
    ErrorCode.NON_EMPTY_GROUP: "stop its members first; 'minikafka group describe' shows them",
    ErrorCode.UNKNOWN_MEMBER_ID: "'minikafka group describe' shows them",
    ErrorCode.TRANSACTIONAL_ID_NOT_FOUND: "see 'minikafka transaction list'",
    ErrorCode.INVALID_REGULAR_EXPRESSION: "it is to be one that RE2 knows",
    ErrorCode.TOPIC_DELETION_DISABLED: "the broker runs with delete.topic.enable=false",
}


class ExitCode(IntEnum):
    """What the shell learns."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    UNREACHABLE = 3
    TIMEOUT = 4
    INTERRUPTED = 130
    """As shells report a program that Ctrl-C ended."""


class Failure(click.ClickException):
    """Ends a command with a message and an exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.code = code


def failure_of(error: BaseException) -> Failure | None:
    """The message and the exit code for an error that a user can do something about; None for a bug of ours."""
    match error:
        case KafkaError():
            return _kafka_failure(error)
        case ExceptionGroup():
            return _group_failure(error)
        case TimeoutError():
            return Failure(f"{str(error) or 'timed out'}; is the broker overloaded?", ExitCode.TIMEOUT)
        case ConnectionError():
            message = f"{error or 'the connection was lost'}; is a broker running? 'minikafka serve' starts one"
            return Failure(message, ExitCode.UNREACHABLE)
        case OSError():
            return Failure(_os_error_text(error))
    return None


def _kafka_failure(error: KafkaError) -> Failure:
    if error.code is ErrorCode.REQUEST_TIMED_OUT:
        return Failure(f"{str(error) or 'the request timed out'}; is the broker overloaded?", ExitCode.TIMEOUT)
    step = _NEXT_STEPS.get(error.code)
    message = str(error) or error.code.name
    return Failure(f"{message.rstrip('.')}; {step}" if step is not None else message)


def _group_failure(group: ExceptionGroup[Exception]) -> Failure | None:
    failures = [failure_of(error) for error in group.exceptions]
    if not failures or None in failures:
        return None
    known = [failure for failure in failures if failure is not None]
    return Failure("\n".join(failure.message for failure in known), known[0].code)


def _os_error_text(error: OSError) -> str:
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
