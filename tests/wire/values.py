"""Random values for any message in any version, and the list of all messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from types import ModuleType
from typing import Any, TypeVar

from minikafka.protocol.api_keys import ApiKey, request_class, response_class
from minikafka.protocol.payloads import consumer_protocol, group_records, transaction_records
from minikafka.protocol.schema import Field, FieldSpec, Message, Wire, fields_of

Override = Callable[[type, Field, Random], Any]
"""Makes the value of a field, or returns ``NotImplemented`` to leave it to chance."""

M = TypeVar("M", bound=Message)

_BITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}
_CHARACTERS = "abcXYZ019._-\0 é\u20ac\U0001f600"
_LONG = 200  # longer than one varint byte can say


def all_messages() -> list[type[Message]]:
    """Every message class, requests and responses in order of their API."""
    found: list[type[Message]] = []
    for api_key in ApiKey:
        try:
            found += [request_class(api_key), response_class(api_key)]
        except LookupError:
            continue
    for payloads in (consumer_protocol, group_records, transaction_records):
        found += [cls for cls in vars(payloads).values() if _is_declared_in(payloads, cls)]
    return found


def _is_declared_in(module: ModuleType, thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Message) and thing.__module__ == module.__name__


def all_versions() -> Iterator[tuple[type[Message], int]]:
    """Every message class with each of its versions."""
    for cls in all_messages():
        for version in cls.VALID:
            yield cls, version


def random_message(cls: type[M], version: int, random: Random, override: Override | None = None) -> M:
    """A ``cls`` whose fields hold anything that ``version`` can carry, and defaults where it carries nothing."""
    made: M = _struct(cls, version, random, override)
    return made


def _struct(cls: type, version: int, random: Random, override: Override | None) -> Any:
    values = {}
    for declared in fields_of(cls):
        if version not in declared.spec.versions:
            continue
        value = override(cls, declared, random) if override else NotImplemented
        if value is NotImplemented:
            value = _field(declared.spec, version, random, override)
        values[declared.name] = value
    return cls(**values)


def _field(spec: FieldSpec, version: int, random: Random, override: Override | None) -> Any:
    if version in spec.nullable and random.random() < 0.3:
        return None
    if not spec.is_array:
        return _value(spec, version, random, override)
    return [_value(spec, version, random, override) for _ in range(random.choice((0, 1, 1, 2)))]


def _value(spec: FieldSpec, version: int, random: Random, override: Override | None) -> Any:
    if spec.wire is None:
        assert spec.struct is not None
        return _struct(spec.struct, version, random, override)
    return random_primitive(spec.wire, random)


def random_primitive(wire: Wire[Any], random: Random) -> Any:
    """A value of a wire type, the extremes more often than not."""
    if wire.name in _BITS:
        return _integer(-(1 << _BITS[wire.name]), (1 << _BITS[wire.name]) - 1, random)
    match wire.name:
        case "bool":
            return random.random() < 0.5
        case "uint16":
            return _integer(0, 0xFFFF, random)
        case "uint32":
            return _integer(0, 0xFFFFFFFF, random)
        case "float64":
            return random.choice((0.0, -1.5, 1e300, 0.1))
        case "uuid":
            return random.choice((bytes(16), random.randbytes(16)))
        case "string":
            return "".join(random.choice(_CHARACTERS) for _ in range(_length(random)))
        case _:
            return random.randbytes(_length(random))


def _integer(low: int, high: int, random: Random) -> int:
    return random.choice((low, high, max(low, -1), 0, 1, random.randint(low, high)))


def _length(random: Random) -> int:
    return random.choice((0, 1, 7, 7, 7, _LONG)) if random.random() < 0.2 else random.randint(0, 9)
