"""The response that says only that something went wrong."""

from __future__ import annotations

from typing import Any

from minikafka.errors import ErrorCode, KafkaError
from minikafka.protocol.schema import Field, Message, fields_of

_ZEROS: dict[str, object] = {"string": "", "bytes": b"", "records": b"", "uuid": bytes(16)}


def error_response(response: type[Message], version: int, error: Exception) -> Message | None:
    """A ``response`` whose top-level error is ``error``; None where ``version`` has no such field.

    A :class:`KafkaError` brings its code and text.  Anything else is a fault of the broker's: its text is for the
    broker's log, and the client learns UNKNOWN_SERVER_ERROR.
    """
    present = {declared.name for declared in fields_of(response) if version in declared.spec.versions}
    if "error_code" not in present:
        return None
    values: dict[str, Any] = {declared.name: _empty(declared, version) for declared in fields_of(response)}
    if isinstance(error, KafkaError):
        values["error_code"] = error.code
        if "error_message" in present:
            values["error_message"] = str(error)
    else:
        values["error_code"] = ErrorCode.UNKNOWN_SERVER_ERROR
    return response(**values)


def _empty(declared: Field, version: int) -> object:
    """The default of a field, or the least that its type can be."""
    spec = declared.spec
    if declared.default is not None:
        return declared.default()
    if spec.is_array:
        return []
    if version in spec.nullable:
        return None
    if spec.struct is not None:
        return spec.struct(**{inner.name: _empty(inner, version) for inner in fields_of(spec.struct)})
    assert spec.wire is not None
    return _ZEROS.get(spec.wire.name, 0)
