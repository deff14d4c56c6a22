"""The same bytes as kio, an independent implementation generated from Kafka's schemas, for every version both know.

A random message is encoded here, read by kio, compared field by field, written by kio, compared byte by byte, and read
back here.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
import typing
import uuid
from functools import cache
from importlib import import_module
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode as KioErrorCode
from kio.serial import entity_reader, entity_writer

from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.codec import decode, encode
from minikafka.protocol.payloads import group_records, transaction_records
from minikafka.protocol.payloads.consumer_protocol import ConsumerProtocolAssignment, ConsumerProtocolSubscription
from minikafka.protocol.schema import Field, Message, fields_of
from minikafka.types import ZERO_UUID
from tests.wire.values import all_messages, random_message

WITHOUT_SCHEMAS_IN_KIO = {group_records.__name__, transaction_records.__name__}
"""What coordinators write into their own topics."""

ERROR_CODES = sorted(int(code.value) for code in KioErrorCode)
LAST_DATETIME_MS = 253_402_300_799_000
EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def kio_class(cls: type[Message], version: int) -> type | None:
    """kio's class for one version, None where kio does not know it."""
    package, leaf = cls.__module__.rpartition(".")[2], "request" if cls.__name__.endswith("Request") else "response"
    if cls is ConsumerProtocolSubscription:
        package, leaf = "consumer_protocol_subscription", "data"
    elif cls is ConsumerProtocolAssignment:
        package, leaf = "consumer_protocol_assignment", "data"
    try:
        return typing.cast("type", getattr(import_module(f"kio.schema.{package}.v{version}.{leaf}"), cls.__name__))
    except ModuleNotFoundError:
        return None


def known_to_both() -> list[Any]:
    cases = []
    for cls in all_messages():
        for version in cls.VALID:
            theirs = kio_class(cls, version)
            if theirs is not None:
                cases.append(pytest.param(cls, version, theirs, id=f"{cls.__name__}-{version}"))
    return cases


def kio_field(theirs: type, name: str) -> dataclasses.Field[Any]:
    """kio's field of that name; it drops the unit from the names of durations and times."""
    fields = {field.name: field for field in dataclasses.fields(theirs)}
    for candidate in (name, name.removesuffix("_ms"), name.removesuffix("_timestamp_ms")):
        if candidate in fields:
            return fields[candidate]
    raise LookupError(f"{theirs.__name__} has no {name}")


@cache
def kio_types(theirs: type) -> dict[str, Any]:
    return typing.get_type_hints(theirs)


def kio_struct(theirs: type, name: str) -> type:
    """The class of kio's nested struct or array of structs."""
    return next(
        kind for kind in _parts(kio_types(theirs)[kio_field(theirs, name).name]) if dataclasses.is_dataclass(kind)
    )


def _parts(annotation: Any) -> list[Any]:
    inner = typing.get_args(annotation)
    return [annotation] if not inner else [part for argument in inner for part in _parts(argument)]


class WithinKio:
    """Keeps random values inside what kio's types can hold: known error codes, datetimes before the year 10,000."""

    def __init__(self, ours: type, theirs: type) -> None:
        self.pairs: dict[type, type] = {}
        self._pair(ours, theirs)

    def _pair(self, ours: type, theirs: type) -> None:
        self.pairs[ours] = theirs
        for declared in fields_of(ours):
            if declared.spec.struct is None:
                continue
            try:
                nested = kio_struct(theirs, declared.name)
            except LookupError:
                continue  # not part of this version
            self._pair(declared.spec.struct, nested)

    def __call__(self, cls: type, declared: Field, random: Random) -> Any:
        if declared.spec.wire is None or declared.spec.is_array:
            return NotImplemented
        theirs = kio_field(self.pairs[cls], declared.name)
        match theirs.metadata.get("kafka_type"):
            case "error_code":
                return random.choice(ERROR_CODES)
            case "datetime_i64":
                known = random.choice((0, LAST_DATETIME_MS, random.randint(0, LAST_DATETIME_MS)))
                can_be_unknown = type(None) in _parts(kio_types(self.pairs[cls])[theirs.name])
                return random.choice((-1, known)) if can_be_unknown else known
            case "timedelta_i64":
                return random.choice((-1, 0, 1, random.randint(0, 1 << 40)))
        return NotImplemented


def assert_same_values(ours: Any, theirs: Any, version: int) -> None:
    for declared in fields_of(type(ours)):
        if version not in declared.spec.versions:
            continue
        mine = getattr(ours, declared.name)
        other = getattr(theirs, kio_field(type(theirs), declared.name).name)
        if isinstance(mine, list):
            assert len(mine) == len(other)
            for one, another in zip(mine, other, strict=True):
                assert_same_value(one, another, version, declared.name)
        else:
            assert_same_value(mine, other, version, declared.name)


def assert_same_value(mine: Any, other: Any, version: int, name: str) -> None:
    if dataclasses.is_dataclass(mine):
        assert_same_values(mine, other, version)
        return
    match other:
        case datetime.timedelta():
            other = round(other / datetime.timedelta(milliseconds=1))
        case datetime.datetime():
            other = round((other - EPOCH) / datetime.timedelta(milliseconds=1))
        case uuid.UUID():
            other = other.bytes
        case KioErrorCode():
            other = other.value
        case None if mine == -1:
            other = -1  # a time that is not known
        case None if mine == ZERO_UUID:
            other = ZERO_UUID
    assert mine == other, name


@pytest.mark.parametrize(("cls", "version", "theirs"), known_to_both())
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False))
def test_same_bytes_and_same_values(cls: type[Message], version: int, theirs: type, random: Random) -> None:
    message = random_message(cls, version, random, WithinKio(cls, theirs))
    ours = bytearray()
    encode(message, version, ours)

    read, size = entity_reader(theirs)(bytes(ours), 0)
    assert size == len(ours)
    assert_same_values(message, read, version)

    written = io.BytesIO()
    entity_writer(theirs)(written, read)
    assert written.getvalue() == bytes(ours)
    assert decode(cls, version, written.getvalue()) == message


def test_kio_knows_every_version_that_is_declared() -> None:
    unknown = [
        (cls.__name__, version)
        for cls in all_messages()
        for version in cls.VALID
        if cls.__module__ not in WITHOUT_SCHEMAS_IN_KIO and not kio_class(cls, version)
    ]

    assert unknown == []


def test_no_version_that_kio_knows_is_missing() -> None:
    missing = []
    for cls in all_messages():
        if cls.API_KEY < 0:
            continue
        beyond = cls.VALID.stop
        if kio_class(cls, beyond) is not None and ApiKey(cls.API_KEY) is not ApiKey.INIT_PRODUCER_ID:
            missing.append((cls.__name__, beyond))

    assert missing == []


@pytest.mark.parametrize(("cls", "version", "theirs"), known_to_both())
def test_same_defaults(cls: type[Message], version: int, theirs: type) -> None:
    pairs = WithinKio(cls, theirs).pairs
    for ours, other in pairs.items():
        for declared in fields_of(ours):
            if version not in declared.spec.versions or declared.default is None:
                continue
            default = kio_field(other, declared.name).default
            if default is not dataclasses.MISSING and default != ():
                assert_same_value(declared.default(), default, version, f"{ours.__name__}.{declared.name}")
