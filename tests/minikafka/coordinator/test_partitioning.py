from ctypes import c_int32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.partitioning import partition_for

# Hash codes as any Java prints them.
KNOWN = {
    "": 0,
    "a": 97,
    "hello": 99162322,
    "test": 3556498,
    "Hello, World!": 1498789909,
    "\N{GRINNING FACE}": 31 * 0xD83D + 0xDE00,
}


@pytest.mark.parametrize(("key", "java_hash"), KNOWN.items())
def test_a_key_is_hashed_as_java_hashes_strings(key, java_hash):
    assert partition_for(key, 2**31 - 1) == java_hash
    assert partition_for(key, 50) == java_hash % 50


def test_a_negative_hash_counts_without_its_sign():
    # "billing" hashes to -109829509.  With the sign bit masked away, as producers do it, it would be partition 39.
    assert partition_for("billing", 50) == 109829509 % 50 == 9


def test_the_hash_whose_absolute_value_no_int_can_hold_is_partition_0():
    assert c_int32(reference_hash("polygenelubricants")).value == -(2**31)
    assert partition_for("polygenelubricants", 50) == 0
    assert partition_for("polygenelubricants", 7) == 0


@given(key=st.text(st.characters()), partition_count=st.integers(1, 1000))
def test_every_key_has_the_partition_of_the_hash_written_as_a_sum(key, partition_count):
    signed = c_int32(reference_hash(key)).value
    absolute = 0 if signed == -(2**31) else abs(signed)
    assert partition_for(key, partition_count) == absolute % partition_count


def test_a_lone_surrogate_is_a_character_like_others():
    assert partition_for("\ud800", 2**31 - 1) == 0xD800


def reference_hash(key: str) -> int:
    units = memoryview(key.encode("utf-16-le", "surrogatepass")).cast("H")
    return sum(unit * 31 ** (len(units) - 1 - index) for index, unit in enumerate(units)) % 2**32
