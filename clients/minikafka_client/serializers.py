r"""Python objects to the bytes of a key or a value, and back.

``bytes`` go as they are, ``None`` stays ``None`` (a tombstone in a compacted topic), ``str`` becomes UTF-8, and
anything else msgpack, which keeps numbers, lists, dictionaries, booleans and bytes apart:

>>> serialize("grüezi")
b'gr\xc3\xbcezi'
>>> deserialize_msgpack(serialize({"order": 17, "items": [b"a", None, 2.5]}))
{'order': 17, 'items': [b'a', None, 2.5]}

Any function from an object to bytes is a serializer, and any function from bytes a deserializer; both are given None
where there is no key, or no value:

>>> serialize_json({"order": 17})
b'{"order": 17}'
>>> deserialize_json(b'{"order": 17}')["order"]
17

A consumer hands out bytes as they are unless it is given deserializers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgpack

from minikafka_client.errors import SerializationError

Serializer = Callable[[Any], bytes | None]
Deserializer = Callable[[bytes | None], Any]


def serialize(value: object) -> bytes | None:
    """The default serializer: bytes, str, None, and msgpack for everything else.

    Raises:
        SerializationError: msgpack cannot hold such an object.
    """
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        packed: bytes = msgpack.packb(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SerializationError(
            f"an object of type {type(value).__name__} has no bytes ({error}); give bytes, or a serializer"
        ) from error
    return packed


def serialize_json(value: object) -> bytes | None:
    """JSON in UTF-8; None stays None, so that a tombstone can be written."""
    return None if value is None else json.dumps(value, ensure_ascii=False).encode()


def deserialize_str(data: bytes | None) -> str | None:
    """The text of UTF-8.

    Raises:
        ValueError: The bytes are not UTF-8.
    """
    return None if data is None else data.decode()


def deserialize_json(data: bytes | None) -> Any:
    """What :func:`serialize_json` wrote.

    Raises:
        ValueError: The bytes are not JSON in UTF-8.
    """
    return None if data is None else json.loads(data)


def deserialize_msgpack(data: bytes | None) -> Any:
    """What :func:`serialize` wrote of an object that is neither bytes nor text.

    Raises:
        ValueError: The bytes are not one msgpack object.
    """
    return None if data is None else msgpack.unpackb(data, strict_map_key=False)
