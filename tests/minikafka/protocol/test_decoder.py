from __future__ import annotations

import gc
import tracemalloc

import pytest

from minikafka.protocol.codec import decode, encode
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.schema import (
    BOOL,
    BYTES,
    INT16,
    INT32,
    RECORDS,
    STRING,
    UUID,
    Buffer,
    Message,
    Records,
    array,
    field,
    message,
    struct,
)


@struct
class Leader:
    """Known by a tag."""

    id: int = field(INT32, default=-1)
    epoch: int = field(INT32, default=-1)


@struct
class Part:
    """A number and bytes."""

    index: int = field(INT32)
    records: Records | None = field(RECORDS, nullable="0+")


@message(valid="0-1", flexible="1+")
class Batch(Message):
    """Enough of everything."""

    name: str = field(STRING)
    alias: str | None = field(STRING, nullable="0+")
    blob: Buffer = field(BYTES)
    numbers: list[int] = array(INT32)
    ids: list[bytes] | None = array(UUID, nullable="0+")
    parts: list[Part] = array(Part)
    perhaps: Leader | None = field(Leader, nullable="0+")
    last: bool = field(BOOL)
    leader: Leader = field(Leader, "1+", default_factory=Leader, tag=0)
    rack: str | None = field(STRING, "1+", nullable="1+", default=None, tag=2)
    votes: list[int] = array(INT16, "1+", default_factory=list, tag=3)


CLASSIC = "0001 61  ffff  00000002 6262  00000001 00000007  ffffffff  00000001 00000005 00000003 636363  ff  01"
COMPACT = "02 61  00  03 6262  02 00000007  00  02 00000005 04 636363 00  ff  01"


def batch(text: str, version: int) -> Batch:
    return decode(Batch, version, bytes.fromhex(text))


def test_every_field_of_both_forms_is_read() -> None:
    expected = Batch(
        name="a", alias=None, blob=b"bb", numbers=[7], ids=None, parts=[Part(index=5, records=b"ccc")], perhaps=None,
        last=True,
    )  # fmt: skip

    assert batch(CLASSIC, 0) == expected
    assert batch(COMPACT + "00", 1) == expected


def test_absent_fields_hold_fresh_defaults() -> None:
    one, other = batch(CLASSIC, 0), batch(CLASSIC, 0)

    assert (one.leader, one.rack, one.votes) == (Leader(), None, [])
    assert one.leader is not other.leader
    assert one.votes is not other.votes


def test_bytes_are_slices_of_the_frame() -> None:
    frame = bytes.fromhex(COMPACT + "00")
    read = decode(Batch, 1, frame)
    records = read.parts[0].records

    assert isinstance(records, memoryview)
    assert records.obj is frame
    assert isinstance(read.blob, memoryview)


def test_known_tagged_fields_are_read_and_others_stepped_over() -> None:
    tagged = "04  00 09 0000000100000002 00  01 02 ffff  02 03 027273"
    with pytest.raises(DecodeError):
        batch(COMPACT + tagged, 1)  # three of four are there
    read = batch(COMPACT + tagged.replace("04", "03", 1).replace("027273", "037273"), 1)

    assert (read.leader, read.rack) == (Leader(id=1, epoch=2), "rs")


def test_a_tagged_array_and_a_tagged_null_are_read() -> None:
    read = batch(COMPACT + "02  02 01 00  03 05 03 0001 ffff", 1)

    assert (read.rack, read.votes) == (None, [1, -1])


@pytest.mark.parametrize(
    "tagged",
    [
        "01  00 08 00000001 00000002 00",  # the struct is longer than the tag says
        "01  00 0a 00000001 00000002 00 00",  # and shorter
        "01  02 02 0472",  # the string leaves the tag
        "01  03 03 05 0001",  # the array leaves the tag
        "02  02 01 00  02 01 00",  # twice
        "02  03 01 01  02 01 00",  # descending
        "7f",
        "ffffffff0f",
        "01 00 ffffffff0f",
    ],
)
def test_a_tagged_field_must_fill_its_size(tagged: str) -> None:
    with pytest.raises(DecodeError):
        batch(COMPACT + tagged, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0001 61", "ffff"),  # null where null is not allowed
        ("0001 61", "fffe"),
        ("0001 61", "0001 ff"),  # not UTF-8
        ("0001 61", "7fff 61"),
        ("61  ffff", "61  fffe"),  # -2 is not null
        ("00000002 6262", "ffffffff"),
        ("00000002 6262", "7fffffff 6262"),
        ("00000001 00000007", "ffffffff"),
        ("00000001 00000007", "fffffffe"),
        ("00000001 00000007", "7fffffff 00000007"),
        ("00000001 00000007", "00000006 00000007"),
        ("ffffffff  00000001", "fffffffe  00000001"),
        ("ffffffff  00000001", "08000000  00000001"),
        ("00000001 00000005", "10000000 00000005"),
        ("00000003 636363", "fffffffe 636363"),
        ("ff  01", "ff"),
        ("ff  01", "ff  01 00"),
    ],
)
def test_lengths_that_lie_are_refused_in_classic_versions(old: str, new: str) -> None:
    assert CLASSIC.count(old) == 1
    with pytest.raises(DecodeError):
        batch(CLASSIC.replace(old, new), 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("02 61", "00"),
        ("02 61", "02 ff"),
        ("02 61", "818002" + "61" * 0x8000),
        ("02 61", "7f 61"),
        ("02 61", "ffffffffff01 61"),
        ("03 6262", "00"),
        ("03 6262", "ffffffff0f 6262"),
        ("02 00000007", "00"),
        ("02 00000007", "0a 00000007"),
        ("02 00000007", "ffffffff0f 00000007"),
        ("02 00000005", "ffffffff07 00000005"),
        ("04 636363", "40 636363"),
    ],
)
def test_lengths_that_lie_are_refused_in_flexible_versions(old: str, new: str) -> None:
    assert COMPACT.count(old) == 1
    with pytest.raises(DecodeError):
        batch(COMPACT.replace(old, new) + "00", 1)


def test_a_refusal_names_the_field() -> None:
    with pytest.raises(DecodeError, match=r"Batch\.numbers: length 2147483647 at 15, 25 bytes left"):
        batch(CLASSIC.replace("00000001 00000007", "7fffffff 00000007"), 0)


@pytest.mark.parametrize("claim", ["7fffffff", "00100000"])
def test_a_claimed_count_allocates_nothing(claim: str) -> None:
    frame = bytes.fromhex("0000 ffff 00000000" + claim) + bytes(1 << 20)
    with pytest.raises(DecodeError):
        decode(Batch, 0, frame)  # compiles the decoder, which is not what is measured
    gc.collect()
    tracemalloc.start()
    with pytest.raises(DecodeError):
        decode(Batch, 0, frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 64 * 1024


def test_the_elements_of_all_arrays_and_tags_count_together() -> None:
    frame = bytes.fromhex(COMPACT + "02  63 01 ff  64 00")  # a number, a part, and two tags that nobody knows

    assert decode(Batch, 1, frame, max_elements=4).numbers == [7]
    for room in range(4):
        with pytest.raises(DecodeError, match="more elements than a message may have"):
            decode(Batch, 1, frame, max_elements=room)


def test_the_elements_of_a_tagged_array_count_too() -> None:
    frame = bytes.fromhex(COMPACT + "01  03 05 03 0001 ffff")

    assert decode(Batch, 1, frame, max_elements=5).votes == [1, -1]
    with pytest.raises(DecodeError, match=r"Batch\.votes: more elements"):
        decode(Batch, 1, frame, max_elements=4)


@struct
class Row:
    """Numbers and words."""

    numbers: list[int] = array(INT16)
    words: list[str] = array(STRING)


@message(valid="0-1", flexible="1+")
class Nested(Message):
    """Arrays in an array: each may be short, and all together long."""

    rows: list[Row] = array(Row)


@pytest.mark.parametrize("version", [0, 1])
def test_many_short_arrays_are_refused_when_they_are_too_much_together(version: int) -> None:
    out = bytearray()
    encode(Nested(rows=[Row(numbers=[1] * 10, words=["a"] * 9)] * 50), version, out)

    assert len(decode(Nested, version, out, max_elements=1_000).rows) == 50
    long = bytes(out) * 1_000
    tracemalloc.start()
    with pytest.raises(DecodeError, match="more elements"):
        decode(Nested, version, long, max_elements=500)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 64 * 1024
