from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.records.crc32c import crc32c, crc32c_by_table


@pytest.mark.parametrize("checksum", [crc32c, crc32c_by_table])
def test_the_published_check_value_comes_out(checksum) -> None:
    assert checksum(b"123456789") == 0xE3069283
    assert checksum(b"") == 0
    assert checksum(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


@given(st.binary(max_size=300), st.integers(0, 20))
def test_the_table_agrees_with_the_library_on_slices_too(data: bytes, start: int) -> None:
    assert crc32c_by_table(data) == crc32c(data)
    assert crc32c(memoryview(bytearray(data))[start:]) == crc32c(data[start:])
