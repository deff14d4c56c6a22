from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.consumer.deadlines import Deadlines, Wait


def test_who_is_late_is_told_once() -> None:
    deadlines = Deadlines()
    deadlines.set("a", Wait.HEARTBEAT, 10)
    deadlines.set("b", Wait.HEARTBEAT, 20)
    assert deadlines.next_ms() == 10
    assert deadlines.due(9) == {}
    assert deadlines.due(10) == {"a": Wait.HEARTBEAT}
    assert deadlines.due(10) == {}
    assert deadlines.due(20) == {"b": Wait.HEARTBEAT}
    assert deadlines.next_ms() is None


def test_a_member_that_is_late_in_two_ways_is_told_once() -> None:
    deadlines = Deadlines()
    deadlines.set("a", Wait.HEARTBEAT, 10)
    deadlines.set("a", Wait.REVOKE, 5)
    assert deadlines.due(10) == {"a": Wait.REVOKE}


def test_a_deadline_can_be_put_off_and_brought_forward() -> None:
    deadlines = Deadlines()
    deadlines.set("a", Wait.HEARTBEAT, 10)
    deadlines.set("a", Wait.HEARTBEAT, 30)
    assert deadlines.due(10) == {}
    assert deadlines.next_ms() == 30
    deadlines.set("a", Wait.HEARTBEAT, 20)
    assert deadlines.next_ms() == 20
    assert deadlines.due(20) == {"a": Wait.HEARTBEAT}
    assert deadlines.due(30) == {}


def test_a_deadline_that_is_set_is_not_put_off_by_another_who_asks_for_it() -> None:
    deadlines = Deadlines()
    deadlines.set_if_absent("a", Wait.JOIN, 10)
    deadlines.set_if_absent("a", Wait.JOIN, 30)
    assert deadlines.due(10) == {"a": Wait.JOIN}


def test_what_has_come_is_not_waited_for_any_more() -> None:
    deadlines = Deadlines()
    deadlines.set("a", Wait.HEARTBEAT, 10)
    deadlines.set("a", Wait.REVOKE, 10)
    deadlines.clear("a", Wait.REVOKE)
    assert deadlines.due(10) == {"a": Wait.HEARTBEAT}
    deadlines.set("a", Wait.HEARTBEAT, 10)
    deadlines.set("a", Wait.SYNC, 10)
    deadlines.clear_all("a")
    assert deadlines.due(10) == {}


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from("ab"), st.sampled_from(Wait), st.integers(1, 9)),
        st.tuples(st.just("clear"), st.sampled_from("ab"), st.sampled_from(Wait), st.just(0)),
        st.tuples(st.just("pass"), st.just(""), st.none(), st.integers(1, 5)),
    )
)


@given(_steps)
def test_nobody_is_late_too_early_and_nobody_is_forgotten(steps) -> None:
    deadlines, now_ms, expected = Deadlines(), 0, {}
    for what, member_id, wait, ms in steps:
        match what:
            case "set":
                expected[member_id, wait] = now_ms + ms
                deadlines.set(member_id, wait, now_ms + ms)
            case "clear":
                expected.pop((member_id, wait), None)
                deadlines.clear(member_id, wait)
            case _:
                now_ms += ms
                late = {key for key, deadline_ms in expected.items() if deadline_ms <= now_ms}
                due = deadlines.due(now_ms)
                assert due.keys() == {member_id for member_id, _ in late}
                assert late.issuperset(due.items())
                for key in late:
                    del expected[key]
        if expected:
            next_ms = deadlines.next_ms()
            assert next_ms is not None
            assert next_ms <= min(expected.values())
