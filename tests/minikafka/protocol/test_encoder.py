from __future__ import annotations

import pytest

from minikafka.protocol.codec import encode
from minikafka.protocol.errors import EncodeError
from minikafka.protocol.schema import (
    BOOL,
    BYTES,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    UINT16,
    UINT32,
    UUID,
    Buffer,
    Message,
    array,
    field,
    message,
    struct,
)
from minikafka.types import ZERO_UUID


@message(valid="0-1", flexible="1+")
class Primitives(Message):
    """One of each."""

    flag: bool = field(BOOL)
    tiny: int = field(INT8)
    small: int = field(INT16)
    medium: int = field(INT32)
    large: int = field(INT64)
    port: int = field(UINT16)
    count: int = field(UINT32)
    ratio: float = field(FLOAT64)
    topic_id: bytes = field(UUID)
    text: str | None = field(STRING, nullable="0+")
    blob: Buffer | None = field(BYTES, nullable="0+")


@struct
class Inner:
    """One number."""

    number: int = field(INT16, default=0)


@message(valid="0-2", flexible="1+")
class Composed(Message):
    """Arrays, structs and tagged fields."""

    numbers: list[int] | None = array(INT32, nullable="0+")
    ids: list[bytes] = array(UUID)
    texts: list[str] = array(STRING)
    inner: Inner = field(Inner)
    perhaps: Inner | None = field(Inner, nullable="0+", default=None)
    tagged_struct: Inner = field(Inner, "1+", default_factory=Inner, tag=1)
    tagged_text: str = field(STRING, "1+", default="", tag=0, ignorable=True)
    tagged_list: list[int] = array(INT16, "2+", default_factory=list, tag=5)


@message(valid="0", flexible="0+")
class TaggedPrimitives(Message):
    """Those whose size is known beforehand."""

    large: int = field(INT64, default=-1, tag=0)
    topic_id: bytes = field(UUID, default=ZERO_UUID, tag=127)
    flag: bool = field(BOOL, default=False, tag=128)


PRIMITIVES = Primitives(
    flag=True, tiny=-1, small=2, medium=3, large=4, port=0xFFFF, count=0xFFFFFFFF, ratio=1.5, topic_id=bytes(range(16)),
    text="\u00e9", blob=b"ab",
)  # fmt: skip
FIXED = "01 ff 0002 00000003 0000000000000004 ffff ffffffff 3ff8000000000000 000102030405060708090a0b0c0d0e0f"


def encoded(value: Message, version: int) -> bytes:
    out = bytearray()
    encode(value, version, out)
    return bytes(out)


def composed(**values: object) -> Composed:
    given = {"numbers": [], "ids": [], "texts": [], "inner": Inner(), **values}
    return Composed(**given)  # type: ignore[arg-type]


def test_classic_versions_have_fixed_lengths() -> None:
    assert encoded(PRIMITIVES, 0) == bytes.fromhex(FIXED + "0002 c3a9 00000002 6162")


def test_flexible_versions_have_compact_lengths_and_end_in_tags() -> None:
    assert encoded(PRIMITIVES, 1) == bytes.fromhex(FIXED + "03 c3a9 03 6162 00")


def test_null_is_minus_one_or_a_compact_zero() -> None:
    nulls = Primitives(
        **{name: getattr(PRIMITIVES, name) for name in Primitives.__slots__ if name not in {"text", "blob"}},
        text=None,
        blob=None,
    )

    assert encoded(nulls, 0) == bytes.fromhex(FIXED + "ffff ffffffff")
    assert encoded(nulls, 1) == bytes.fromhex(FIXED + "00 00 00")


def test_arrays_are_their_count_and_elements() -> None:
    value = composed(numbers=[1, 2], ids=[ZERO_UUID], texts=["a", ""], inner=Inner(number=3))

    assert encoded(value, 0) == bytes.fromhex(
        "00000002 00000001 00000002" + "00000001" + "00" * 16 + "00000002 0001 61 0000" + "0003" + "ff"
    )
    assert encoded(value, 1) == bytes.fromhex(
        "03 00000001 00000002" + "02" + "00" * 16 + "03 02 61 01" + "0003 00" + "ff" + "00"
    )


def test_a_long_array_has_a_count_of_two_bytes() -> None:
    assert encoded(composed(numbers=[0] * 127), 1).startswith(b"\x80\x01" + bytes(4 * 127))


def test_a_null_array_differs_from_an_empty_one() -> None:
    assert encoded(composed(numbers=None), 0)[:4] == b"\xff\xff\xff\xff"
    assert encoded(composed(numbers=None), 1)[:1] == b"\0"
    assert encoded(composed(numbers=[]), 1)[:1] == b"\x01"


def test_a_nullable_struct_is_one_byte_and_its_fields() -> None:
    assert encoded(composed(perhaps=Inner(number=9)), 0).endswith(bytes.fromhex("01 0009"))
    assert encoded(composed(perhaps=Inner(number=9)), 1).endswith(bytes.fromhex("01 0009 00 00"))


def test_tagged_fields_ascend_and_carry_their_size() -> None:
    value = composed(tagged_struct=Inner(number=7), tagged_text="ab", tagged_list=[1])

    assert encoded(value, 2).endswith(bytes.fromhex("03  00 03 036162  01 03 000700  05 03 020001"))


def test_a_tagged_field_of_a_fixed_size_is_laid_out_like_any_other() -> None:
    assert encoded(TaggedPrimitives(large=5, topic_id=b"i" * 16, flag=True), 0) == bytes.fromhex(
        "03  00 08 0000000000000005  7f 10" + "69" * 16 + "8001 01 01"
    )
    with pytest.raises(EncodeError):
        encoded(TaggedPrimitives(topic_id=b"short"), 0)


def test_tagged_fields_that_hold_their_default_are_not_written() -> None:
    value = composed(tagged_struct=Inner(number=0), tagged_text="", tagged_list=[])

    assert encoded(value, 2) == encoded(composed(), 2)
    assert encoded(value, 2).endswith(b"\xff\x00")


def test_a_value_that_the_version_has_no_room_for_is_refused() -> None:
    with pytest.raises(EncodeError, match=r"Composed\.tagged_list is not part of v1"):
        encoded(composed(tagged_list=[1]), 1)
    with pytest.raises(EncodeError, match=r"Composed\.tagged_struct is not part of v0"):
        encoded(composed(tagged_struct=Inner(number=1)), 0)


def test_an_ignorable_value_is_dropped_where_there_is_no_room() -> None:
    assert encoded(composed(tagged_text="lost"), 0) == encoded(composed(), 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tiny", 128),
        ("small", 1 << 15),
        ("port", -1),
        ("large", 1 << 63),
        ("medium", "3"),
        ("ratio", None),
        ("topic_id", b"short"),
        ("text", 5),
        ("text", "x" * 0x8000),
        ("text", "\ud800"),
        ("blob", 7),
    ],
)
def test_a_value_that_does_not_fit_its_wire_type_is_refused(name: str, value: object) -> None:
    fields = {slot: getattr(PRIMITIVES, slot) for slot in Primitives.__slots__}
    with pytest.raises(EncodeError):
        encoded(Primitives(**{**fields, name: value}), 0)


@pytest.mark.parametrize("name", ["ids", "texts", "inner"])
def test_none_is_refused_where_it_is_not_allowed(name: str) -> None:
    for version in Composed.VALID:
        with pytest.raises(EncodeError):
            encoded(composed(**{name: None}), version)
