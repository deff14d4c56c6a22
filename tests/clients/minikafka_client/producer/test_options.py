from __future__ import annotations

import pytest

from minikafka.records.compression import Compression
from minikafka_client.producer.options import acks_value, compression_value, is_idempotent


@pytest.mark.parametrize(("acks", "value"), [("all", -1), (-1, -1), (0, 0), (1, 1), ("1", 1)])
def test_acks_by_name_or_number(acks: str | int, value: int) -> None:
    assert acks_value(acks) == value


@pytest.mark.parametrize("acks", [2, "some", -2])
def test_other_acks_are_refused(acks: str | int) -> None:
    with pytest.raises(ValueError, match="acks"):
        acks_value(acks)


def test_codecs_by_name() -> None:
    assert [compression_value(codec.config_name) for codec in Compression] == list(Compression)
    with pytest.raises(ValueError, match="none, gzip, snappy, lz4, zstd"):
        compression_value("brotli")


def test_a_producer_is_idempotent_by_default_where_it_can_be() -> None:
    assert is_idempotent(None, -1, 5)
    assert not is_idempotent(None, 1, 5)
    assert not is_idempotent(None, -1, 6)
    assert not is_idempotent(False, -1, 5)


@pytest.mark.parametrize(("acks", "max_in_flight"), [(1, 5), (0, 5), (-1, 6)])
def test_idempotence_that_cannot_be_is_refused(acks: int, max_in_flight: int) -> None:
    with pytest.raises(ValueError, match="enable_idempotence"):
        is_idempotent(True, acks, max_in_flight)
