from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.testing.comparison import Received, could_be_sent, difference
from minikafka_client import Message

VALUES = st.sampled_from([b"a", b"b", None, {"n": 1}, [1, 2]])


def received(value, partition=0, offset=0, key=None):
    return Received(value, Message("orders", partition, offset, 0, key, b"", ()))


@given(st.lists(st.tuples(VALUES, st.integers(0, 3)), max_size=12), st.randoms(use_true_random=False))
def test_what_was_sent_one_by_one_is_recognized_however_its_partitions_are_read(sent, random):
    partitions = [[received(value, number) for value, where in sent if where == number] for number in range(4)]
    read = []
    while any(partitions):
        read.append(random.choice([partition for partition in partitions if partition]).pop(0))
    assert could_be_sent([value for value, _ in sent], read)


@given(st.lists(VALUES, max_size=8), st.lists(VALUES, max_size=8))
def test_in_one_partition_only_the_same_list_is_right(expected, values):
    assert could_be_sent(expected, [received(value) for value in values]) == (expected == values)


@given(st.lists(VALUES, max_size=8), VALUES)
def test_one_more_and_one_less_are_noticed_in_any_number_of_partitions(expected, more):
    read = [received(value, partition) for partition, value in enumerate(expected)]
    assert not could_be_sent(expected, [*read, received(more, len(read))])
    assert not could_be_sent([*expected, more], read)


@pytest.mark.parametrize("order", list(permutations([0, 1, 2])))
def test_different_partitions_may_be_in_any_order(order):
    read = [received(bytes([number]), number) for number in order]
    assert could_be_sent([b"\0", b"\1", b"\2"], read)


def test_the_difference_is_shown_line_by_line():
    read = [received(b"tea"), received(b"coffee", 2, 17, b"alice"), received(b"milk", 0, 1)]
    assert difference("orders", [b"tea", b"cake", b"milk"], read).splitlines() == [
        "orders: 3 messages expected, 3 received",
        "    b'tea'",
        "  - b'cake'",
        "  + b'coffee'    partition 2, offset 17, key b'alice'",
        "    b'milk'",
        "(- expected, not received; + received, not expected)",
    ]


def test_another_order_is_called_so():
    assert "the same ones in another order" in difference("orders", [b"a", b"b"], [received(b"b"), received(b"a")])
    assert "another order" not in difference("orders", [b"a"], [received(b"b")])


def test_long_values_are_shortened():
    shown = difference("orders", [b"x" * 10_000], [])
    assert "(10003 characters)" in shown
    assert len(shown) < 500
