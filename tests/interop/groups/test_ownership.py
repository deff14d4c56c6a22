"""The judge of ownership, judged by histories whose verdict is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.interop.groups.ownership import Event, Kind, are_dealt, conflicts, owned

ONE, BOTH = frozenset({0}), frozenset({0, 1})


def test_a_handover_is_no_conflict() -> None:
    history = [
        Event(1, "a", Kind.ASSIGNED, BOTH),
        Event(5, "a", Kind.REVOKED, ONE),
        Event(6, "b", Kind.ASSIGNED, ONE),
    ]

    assert conflicts(history) == []
    assert owned(history) == {"a": frozenset({1}), "b": ONE}


def test_a_partition_given_out_before_it_is_released_is_a_conflict() -> None:
    history = [
        Event(1, "a", Kind.ASSIGNED, BOTH),
        Event(5, "b", Kind.ASSIGNED, ONE),
        Event(6, "a", Kind.REVOKED, ONE),
    ]

    assert len(conflicts(history)) == 1


def test_two_owners_for_ever_are_a_conflict() -> None:
    history = [Event(1, "a", Kind.ASSIGNED, ONE), Event(2, "b", Kind.ASSIGNED, ONE)]

    assert len(conflicts(history)) == 1
    assert owned(history) == {"a": ONE, "b": ONE}


def test_a_long_ownership_conflicts_with_every_short_one_inside_it() -> None:
    history = [
        Event(1, "a", Kind.ASSIGNED, ONE),
        Event(2, "b", Kind.ASSIGNED, ONE),
        Event(3, "b", Kind.REVOKED, ONE),
        Event(4, "c", Kind.ASSIGNED, ONE),
    ]

    assert len(conflicts(history)) == 2


def test_a_member_that_is_gone_owns_nothing() -> None:
    history = [Event(1, "a", Kind.ASSIGNED, BOTH), Event(5, "a", Kind.GONE), Event(6, "b", Kind.ASSIGNED, BOTH)]

    assert conflicts(history) == []
    assert owned(history) == {"b": BOTH}


def test_what_a_member_lost_was_its_own_until_it_knew() -> None:
    history = [
        Event(1, "a", Kind.ASSIGNED, ONE),
        Event(5, "b", Kind.ASSIGNED, ONE),
        Event(9, "a", Kind.LOST, ONE),
    ]

    assert len(conflicts(history)) == 1
    assert owned(history) == {"b": ONE}


def test_partitions_are_dealt_when_each_is_in_one_share() -> None:
    assert are_dealt([frozenset({1}), frozenset(), ONE], 2)
    assert not are_dealt([ONE], 2)
    assert not are_dealt([BOTH, ONE], 2)
    assert not are_dealt([BOTH, frozenset({2})], 2)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1)), max_size=30))
def test_taking_turns_is_never_a_conflict_and_a_gap_of_one_tick_taken_away_always_is(
    turns: list[tuple[str, int]],
) -> None:
    history = []
    for turn, (member, partition) in enumerate(turns):
        history.append(Event(10 * turn, member, Kind.ASSIGNED, frozenset({partition})))
        history.append(Event(10 * turn + 5, member, Kind.REVOKED, frozenset({partition})))

    assert conflicts(history) == []
    if turns:
        member, partition = turns[-1]
        late = Event(10 * len(turns) - 6, "intruder", Kind.ASSIGNED, frozenset({partition}))
        assert conflicts([*history, late]) != []
