from __future__ import annotations

import pytest
from hypothesis import given

from minikafka.records.batch import CONTROL_FLAG, TRANSACTIONAL_FLAG
from minikafka.records.builder import RecordBatchBuilder
from minikafka.records.single import build_single
from tests.minikafka.records.strategies import contents, parse, timestamps


@given(timestamps, contents, contents)
def test_it_is_what_the_builder_makes_of_the_record(timestamp_ms: int, key: bytes | None, value: bytes | None) -> None:
    builder = RecordBatchBuilder()
    builder.append(timestamp_ms, key, value)
    assert build_single(timestamp_ms, key, value) == builder.build()


@pytest.mark.parametrize("is_control", [False, True])
@pytest.mark.parametrize("is_transactional", [False, True])
def test_the_producer_and_the_attributes_are_written(is_transactional: bool, is_control: bool) -> None:
    builder = RecordBatchBuilder(
        producer_id=2**40, producer_epoch=3, is_transactional=is_transactional, is_control=is_control
    )
    builder.append(5, b"key", b"v" * 70_000)
    attributes = (TRANSACTIONAL_FLAG if is_transactional else 0) | (CONTROL_FLAG if is_control else 0)
    made = build_single(5, b"key", b"v" * 70_000, attributes=attributes, producer_id=2**40, producer_epoch=3)
    assert made == builder.build()
    parse(made).verify_crc()
