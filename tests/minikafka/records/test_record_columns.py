"""The columns must say of every batch exactly what a walk says, and what a slow reader says that is plainly right."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minikafka.errors import InvalidRecord
from minikafka.records.batch import HEADER_SIZE
from minikafka.records.record import iter_records
from minikafka.records.record_columns import MIN_RUN, find_run
from minikafka.records.record_walk import walk_records
from minikafka.records.validation import check_records
from minikafka.records.varint import encode_varint, encode_varlong
from tests.minikafka.records.strategies import (
    Made,
    Malformed,
    batch_of,
    build,
    check_slowly,
    parse,
    raw_record,
    record_lists,
    sized,
    uniform,
)

Verdict = list[int] | None
"""The records without a key, or None for a refusal."""


def by_columns(data: bytes, count: int) -> Verdict:
    keyless: list[int] = []
    try:
        check_records(memoryview(data), count, keyless)
    except InvalidRecord:
        return None
    return keyless


def by_walking(data: bytes, count: int) -> Verdict:
    keyless: list[int] = []
    try:
        return keyless if walk_records(data, 0, 0, count, keyless) == len(data) else None
    except InvalidRecord:
        return None


def by_the_book(data: bytes, count: int) -> Verdict:
    try:
        return check_slowly(data, count)
    except Malformed:
        return None


def verdict(data: bytes, count: int) -> Verdict:
    """What all three agree upon; decoding must not contradict it."""
    verdicts = [by_columns(data, count), by_walking(data, count), by_the_book(data, count)]
    assert verdicts[0] == verdicts[1] == verdicts[2]
    try:
        decoded = len(list(iter_records(parse(batch_of(data, count)), budget_bytes=0)))
    except InvalidRecord as error:
        assert verdicts[0] is None or "UTF-8" in str(error)
    else:
        assert decoded == count
    return verdicts[0]


def records_of(raw: bytes) -> bytes:
    return raw[HEADER_SIZE:]


@given(record_lists())
def test_well_formed_records_are_accepted(records: list[Made]) -> None:
    data = records_of(build(records))
    assert verdict(data, len(records)) == [i for i, record in enumerate(records) if record.key is None]
    assert verdict(data, len(records) + 1) is None
    assert verdict(data + b"\x00", len(records)) is None
    if len(records) > 1:
        assert verdict(data, len(records) - 1) is None


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, int]:
    records = draw(record_lists())
    data = bytearray(records_of(build(records)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at] = draw(st.integers(0, 255) | st.sampled_from([0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0xFF]))
    return bytes(data), len(records)


@given(mutated())
@settings(max_examples=300)
def test_mutated_records_get_the_same_verdict(case: tuple[bytes, int]) -> None:
    verdict(*case)


@pytest.mark.parametrize("key", [None, b"", b"key", b"k" * 70])
@pytest.mark.parametrize("size", [0, 20, 100])
def test_each_byte_of_a_run_matters_as_much_as_when_walked(key: bytes | None, size: int) -> None:
    data = records_of(uniform(100, size=size, key=key))
    assert verdict(data, 100) == ([] if key is not None else list(range(100)))
    stride = len(data) // 100
    rng = random.Random(size)
    refused = 0
    for at in [*range(stride), *range(len(data) - stride, len(data)), *rng.sample(range(len(data)), 40)]:
        for value in (data[at] ^ 0x01, data[at] ^ 0x80, data[at] ^ rng.randrange(1, 256)):
            broken = data[:at] + bytes((value,)) + data[at + 1 :]
            refused += verdict(broken, 100) is None
    assert refused > 20


def test_offset_deltas_of_one_two_and_three_bytes_are_all_looked_at() -> None:
    count = 17_000
    data = records_of(uniform(count, size=1, step_ms=0))
    starts, pos = [], 0
    for index in range(count):
        starts.append(pos)
        pos = walk_records(data, pos, index, index + 1, None)
    assert by_columns(data, count) == by_walking(data, count) == list(range(count))
    rng = random.Random(3)
    for index in [63, 64, 65, 8191, 8192, 8193, 16383, 16384, *rng.sample(range(count), 20)]:
        width = len(encode_varint(index))
        for at in range(width):
            broken = bytearray(data)
            broken[starts[index] + 3 + at] ^= 1 << rng.randrange(7)
            assert by_columns(bytes(broken), count) is None
            assert by_walking(bytes(broken), count) is None


def test_more_records_than_three_bytes_can_count_are_walked() -> None:
    first = 2**20 - 20
    data = b"".join(raw_record(first + i) for i in range(40))
    run = find_run(data, 0, first, 40)
    assert run is not None
    assert run.length == 20
    assert find_run(data, 20 * run.shape.stride, 2**20, 20) is None
    assert walk_records(data, 0, first, first + 40, None) == len(data)


@pytest.mark.parametrize("delta", [0, -1, 63, 64, -(2**20), 2**31, 2**62, -(2**63)])
def test_timestamp_deltas_of_every_length_get_the_same_verdict(delta: int) -> None:
    data = b"".join(raw_record(i, time=encode_varlong(delta)) for i in range(60))
    assert verdict(data, 60) == list(range(60))


@pytest.mark.parametrize("bad", [0, 1, 30, 59])
def test_a_timestamp_delta_of_more_than_64_bits_is_refused_wherever_it_stands(bad: int) -> None:
    last_bytes = [2 if i == bad else 1 for i in range(60)]
    data = b"".join(raw_record(i, time=b"\xff" * 9 + bytes((last_bytes[i],))) for i in range(60))
    assert verdict(data, 60) is None


@pytest.mark.parametrize(
    "overlong",
    [
        {"time": b"\x80\x00"},
        {"key": b"\x81\x00"},
        {"value": b"\x82\x00v"},
        {"value": b"\x82\x80\x80\x80\x00v"},
        {"headers": b"\x80\x00"},
    ],
)
def test_numbers_in_more_bytes_than_needed_are_as_good(overlong: dict[str, bytes]) -> None:
    data = b"".join(raw_record(i, **overlong) for i in range(60))
    assert verdict(data, 60) == list(range(60))


@pytest.mark.parametrize(
    "lie",
    [
        {"key": encode_varint(-2)},
        {"value": encode_varint(-2)},
        {"headers": encode_varint(-1)},
        {"headers": encode_varint(1)},
        {"key": sized(b"k", 2)},
        {"value": sized(b"v", 0)},
        {"length": 0},
        {"length": -1},
        {"length": -8},
        {"length": 6},
        {"length": 8},
    ],
)
def test_f13_the_same_lie_in_every_record_is_refused(lie: dict[str, bytes | int]) -> None:
    data = b"".join(raw_record(i, **lie) for i in range(60))
    assert verdict(data, 60) is None


def test_records_of_equal_size_and_different_shape_are_told_apart() -> None:
    shapes = [{"key": sized(b"kk"), "value": sized(b"v")}, {"key": sized(b"k"), "value": sized(b"vv")}]
    data = b"".join(raw_record(i, **shapes[i // 25 % 2]) for i in range(100))
    assert verdict(data, 100) == []


def test_a_run_shorter_than_the_least_is_left_to_the_walk() -> None:
    data = records_of(uniform(MIN_RUN))
    run = find_run(data, 0, 0, 1000)
    assert run is not None
    assert run.length == MIN_RUN
    assert find_run(data, 0, 0, MIN_RUN - 1) is None
    assert find_run(data, 0, 1, 1000) is None


def test_a_run_ends_where_the_shape_changes() -> None:
    values = [sized(b"v")] * 30 + [sized(b"vv")] * 30
    data = b"".join(raw_record(i, value=value) for i, value in enumerate(values))
    run = find_run(data, 0, 0, 60)
    assert run is not None
    assert run.length == 30
    assert run.shape.value_size == 1


@example(b"", 5)
@given(st.binary(max_size=60), st.integers(1, 40))
def test_garbage_gets_the_same_verdict(unit: bytes, count: int) -> None:
    verdict(unit, count)
    verdict(unit * 20, count)


def test_runs_that_break_off_again_and_again_cost_little_more_than_walking() -> None:
    # As many records as fit into a batch, in runs just long enough to be tried.
    shapes = [{"value": b"\x00"}, {"value": b"\x02v"}]
    count = 60_000
    data = b"".join(raw_record(i, **shapes[i // (MIN_RUN + 1) % 2]) for i in range(count))

    def took(check: object) -> float:
        started = time.process_time()
        assert check(data, count) is not None
        return time.process_time() - started

    assert min(took(by_columns) for _ in range(3)) < 4 * min(took(by_walking) for _ in range(3))
