"""What holds for every message in every version."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minikafka.protocol.codec import decode, decode_prefix, encode, encode_buffers
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.schema import Message, fields_of
from tests.wire.values import all_messages, all_versions, random_message

EVERY_VERSION = [pytest.param(*case, id=f"{case[0].__name__}-{case[1]}") for case in all_versions()]
EVERY_MESSAGE = [pytest.param(cls, id=cls.__name__) for cls in all_messages()]

few_examples = settings(max_examples=8, suppress_health_check=list(HealthCheck))


def encoded(message: Message, version: int) -> bytes:
    out = bytearray()
    encode(message, version, out)
    return bytes(out)


@pytest.mark.parametrize(("cls", "version"), EVERY_VERSION)
@few_examples
@given(random=st.randoms(use_true_random=False))
def test_what_is_encoded_decodes_to_the_same(cls: type[Message], version: int, random: Random) -> None:
    message = random_message(cls, version, random)
    frame = encoded(message, version)

    assert decode(cls, version, frame) == message
    assert b"".join(encode_buffers(message, version)) == frame
    assert decode_prefix(cls, version, b"head" + frame + b"tail", 4) == (message, 4 + len(frame))


@pytest.mark.parametrize(("cls", "version"), EVERY_VERSION)
def test_a_decoded_message_encodes_in_its_version_again(cls: type[Message], version: int) -> None:
    frame = encoded(random_message(cls, version, Random(version)), version)

    assert encoded(decode(cls, version, frame), version) == frame


@pytest.mark.parametrize(("cls", "version"), EVERY_VERSION)
def test_every_shorter_frame_is_refused(cls: type[Message], version: int) -> None:
    frame = encoded(random_message(cls, version, Random(version)), version)

    for length in range(len(frame)):
        with pytest.raises(DecodeError):
            decode(cls, version, frame[:length])
    with pytest.raises(DecodeError, match="1 bytes too many"):
        decode(cls, version, frame + b"\0")


def flip(frame: bytearray, random: Random) -> None:
    frame[random.randrange(len(frame))] ^= 1 << random.randrange(8)


def claim_much(frame: bytearray, random: Random) -> None:
    at = random.randrange(len(frame))
    frame[at : at + 4] = random.choice((b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\x7f", b"\x7f\xff"))


def cut(frame: bytearray, random: Random) -> None:
    del frame[random.randrange(len(frame)) :]


@pytest.mark.parametrize("cls", EVERY_MESSAGE)
@pytest.mark.parametrize("corrupt", [flip, claim_much, cut])
def test_corruption_raises_one_error_and_allocates_no_claim(
    cls: type[Message], corrupt: Callable[[bytearray, Random], None]
) -> None:
    random = Random(cls.__name__)
    for version in {cls.VALID.start, cls.VALID.stop - 1}:
        for _ in range(5):
            frame = bytearray(encoded(random_message(cls, version, random), version) or b"\0")
            corrupt(frame, random)
            damaged = bytes(frame)
            decoding_peak(cls, version, damaged)  # compiles the decoder
            assert decoding_peak(cls, version, damaged) <= 4 * len(damaged) + 64 * 1024


def decoding_peak(cls: type[Message], version: int, frame: bytes) -> int:
    tracemalloc.start()
    try:
        decode(cls, version, frame)
    except DecodeError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("cls", EVERY_MESSAGE)
def test_tags_are_distinct_and_come_with_flexible_versions(cls: type[Message]) -> None:
    for nested in structs_of(cls):
        tagged = [declared.spec for declared in fields_of(nested) if declared.spec.tag is not None]
        assert len({spec.tag for spec in tagged}) == len(tagged)
        for spec in tagged:
            assert all(version in cls.FLEXIBLE for version in cls.VALID if version in spec.versions)


@pytest.mark.parametrize("cls", EVERY_MESSAGE)
def test_every_field_is_part_of_some_version(cls: type[Message]) -> None:
    for nested in structs_of(cls):
        for declared in fields_of(nested):
            assert any(version in declared.spec.versions for version in cls.VALID), declared.name


def structs_of(cls: type) -> list[type]:
    found = [cls]
    for declared in fields_of(cls):
        if declared.spec.struct is not None:
            found += structs_of(declared.spec.struct)
    return found


def test_the_module_of_an_api_holds_nothing_that_is_not_part_of_its_messages() -> None:
    by_module: dict[str, list[type[Message]]] = {}
    for cls in all_messages():
        by_module.setdefault(cls.__module__, []).append(cls)
    for module, classes in by_module.items():
        reachable = {struct for cls in classes for struct in structs_of(cls)}
        assert {struct.__module__ for struct in reachable} == {module}


def test_messages_come_in_the_order_of_their_keys() -> None:
    keys = [cls.API_KEY for cls in all_messages() if cls.API_KEY >= 0]

    assert all(first <= second for first, second in pairwise(keys))
    assert len(keys) == 2 * len(set(keys))
