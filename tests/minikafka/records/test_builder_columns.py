from __future__ import annotations

from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from hypothesis import example, given
from hypothesis import strategies as st

from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.builder_columns import with_columns
from tests.minikafka.records.strategies import Made, record_lists

NOW_MS = 1_700_000_000_000


def one_by_one(records: list[Made]) -> RecordBatchBuilder:
    builder = RecordBatchBuilder()
    for record in records:
        builder.append(*record)
    return builder


def extend(builder: RecordBatchBuilder, records: list[Made], *, with_headers: bool) -> None:
    timestamps_ms, keys, values, headers = zip(*records, strict=True)
    builder.extend(list(timestamps_ms), list(keys), list(values), list(headers) if with_headers else None)


@st.composite
def plain_lists(draw: st.DrawFn) -> list[Made]:
    """Records without headers, whose keys and values come in few sizes and whose times seldom go back."""
    sizes = draw(st.lists(st.integers(0, 300), min_size=1, max_size=3))
    keys = draw(st.sampled_from([[None], [b"k"], [b"k", b"key"], [None, b"k"]]))
    steps_ms = draw(st.lists(st.sampled_from([0, 0, 1, 70, 9_000, -1]), min_size=1, max_size=200))
    time_ms = NOW_MS
    records = []
    for number, step_ms in enumerate(steps_ms):
        time_ms += step_ms
        value = bytes((number % 251,)) * sizes[number % len(sizes)]
        records.append(Made(time_ms, keys[number % len(keys)], value))
    return records


@given(plain_lists())
def test_columns_give_the_bytes_that_records_one_by_one_give(records: list[Made]) -> None:
    builder = RecordBatchBuilder()
    extend(builder, records, with_headers=False)
    assert builder.build() == one_by_one(records).build()


@given(record_lists(), st.integers(0, 5))
def test_records_of_any_shape_can_be_added_together(records: list[Made], before: int) -> None:
    builder = one_by_one(records[:before])
    if records[before:]:
        extend(builder, records[before:], with_headers=True)
    assert builder.build() == one_by_one(records).build()
    assert builder.max_timestamp_ms == max(record.timestamp_ms for record in records)


@given(plain_lists(), plain_lists())
@example([Made(NOW_MS + 70, None, b"a")], [Made(NOW_MS, None, b"b"), Made(NOW_MS + 70, None, b"c")])
def test_more_columns_go_on_where_the_first_ended(records: list[Made], more: list[Made]) -> None:
    builder = RecordBatchBuilder()
    extend(builder, records, with_headers=False)
    extend(builder, more, with_headers=False)
    assert builder.build() == one_by_one(records + more).build()


@given(plain_lists())
def test_aiokafka_reads_what_columns_wrote(records: list[Made]) -> None:
    builder = RecordBatchBuilder()
    extend(builder, records, with_headers=False)
    batch = AiokafkaBatch(builder.build())
    assert batch.validate_crc()
    assert [Made(r.timestamp, r.key, r.value) for r in batch] == records


def test_offsets_grow_a_byte_where_they_have_to() -> None:
    for count in (63, 64, 65, 8_191, 8_192, 8_193):
        records = [Made(NOW_MS, None, b"%d" % number) for number in range(count)]
        builder = RecordBatchBuilder()
        extend(builder, records, with_headers=False)
        assert builder.build() == one_by_one(records).build()


def test_what_columns_do_not_understand_is_left_to_others() -> None:
    def encoded(timestamps_ms: list[int], keys: list[bytes | None], values: list[bytes | None]) -> bytearray | None:
        return with_columns(bytearray(), 0, timestamps_ms[0], timestamps_ms=timestamps_ms, keys=keys, values=values)

    assert encoded([0, 1], [None, None], [b"a", None]) is None
    assert encoded([0, 1], [b"a", None], [b"a", b"b"]) is None
    assert encoded([1, 0], [None, None], [b"a", b"b"]) is None
    assert encoded([0, 1], [None, None], [b"a", b"b"]) is not None


def test_nothing_is_added_of_nothing() -> None:
    builder = RecordBatchBuilder()
    builder.extend([], [], [])
    assert len(builder) == 0
