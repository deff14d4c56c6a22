import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.classic.member import Member
from minikafka.coordinator.group.classic.members import Members
from minikafka.coordinator.group.values import ClassicProtocol, JoinResult
from minikafka.errors import FencedInstanceId, RebalanceInProgress, UnknownMemberId
from tests.minikafka.coordinator.group.classic.harness import Reply, join_attempt

GONE = UnknownMemberId("gone")


def add(members: Members, member_id: str, **fields) -> Member:
    member = Member.from_attempt(member_id, join_attempt(member_id, **fields))
    members.add(member)
    return member


def joined(members: Members, member: Member) -> Reply[JoinResult]:
    reply: Reply[JoinResult] = Reply()
    members.await_join(member, reply)
    return reply


def test_the_first_member_leads_and_when_it_goes_the_next() -> None:
    members = Members()
    first, second = add(members, "a"), add(members, "b")
    assert members.leader_id == "a"
    members.remove(first, GONE)
    assert members.leader_id == "b"
    members.remove(second, GONE)
    assert members.leader_id is None


def test_the_leader_of_a_generation_is_one_who_has_joined() -> None:
    members = Members()
    add(members, "a")
    assert not members.elect_leader()
    assert members.leader_id == "a"
    joined(members, add(members, "b"))
    joined(members, add(members, "c"))
    assert members.elect_leader()
    assert members.leader_id == "b"
    joined(members, members["a"])
    assert members.elect_leader()
    assert members.leader_id == "b"


def test_all_have_joined_when_nobody_is_missing_or_expected() -> None:
    members = Members()
    assert members.all_joined
    joined(members, add(members, "a"))
    late = add(members, "b")
    assert not members.all_joined
    members.pending["c"] = 5.0
    joined(members, late)
    assert not members.all_joined
    add(members, "c")
    assert not members.pending
    members.remove(members["c"], GONE)
    assert members.all_joined


def test_who_waits_when_it_is_removed_is_told() -> None:
    members = Members()
    member = add(members, "a")
    reply = joined(members, member)
    members.remove(member, GONE)
    assert reply.error is GONE
    assert members.joining_count == 0


def test_a_second_join_of_a_member_counts_once_and_takes_the_place_of_the_first() -> None:
    members = Members()
    member = add(members, "a")
    first, second = joined(members, member), joined(members, member)
    assert isinstance(first.error, RebalanceInProgress)
    assert not second.done()
    assert members.joining_count == 1


def test_a_member_is_found_by_its_id_and_only_under_the_current_id_of_its_instance() -> None:
    members = Members()
    add(members, "dynamic")
    add(members, "static", instance="i")
    assert members.find("dynamic", None).member_id == "dynamic"
    assert members.find("static", "i").member_id == members.find("static", None).member_id == "static"
    for member_id, instance in (("other", None), ("", None), ("dynamic", "unknown")):
        with pytest.raises(UnknownMemberId):
            members.find(member_id, instance)
    with pytest.raises(FencedInstanceId):
        members.find("dynamic", "i")


@pytest.mark.parametrize("fields", [{}, {"instance": "i"}])
def test_nobody_is_a_member_twice(fields) -> None:
    members = Members()
    add(members, "a", **fields)
    with pytest.raises(ValueError, match="is a member already"):
        add(members, "b" if fields else "a", **fields)


def test_a_successor_takes_the_place_of_a_leader_and_fences_it() -> None:
    members = Members()
    old = add(members, "a", instance="i")
    add(members, "b")
    reply = joined(members, old)
    members.replace(old, Member.from_attempt("c", join_attempt(instance="i")))
    assert isinstance(reply.error, FencedInstanceId)
    assert members.leader_id == "c"
    assert list(members) == ["b", "c"]
    found = members.static_member("i")
    assert found is not None and found.member_id == "c"


def test_the_protocol_is_the_one_that_most_like_best_of_those_that_all_support() -> None:
    members = Members()
    add(members, "a", protocols={"only-a": b"", "x": b"", "y": b""})
    add(members, "b", protocols={"y": b"", "x": b""})
    add(members, "c", protocols={"y": b"", "x": b"", "z": b""})
    assert members.select_protocol() == "y"


def test_without_a_common_protocol_none_is_selected() -> None:
    members = Members()
    with pytest.raises(ValueError, match="nobody votes"):
        members.select_protocol()
    add(members, "a", protocols={"x": b""})
    add(members, "b", protocols={"y": b""})
    with pytest.raises(ValueError, match="supports none"):
        members.select_protocol()


def test_what_a_member_supports_is_what_it_joined_with_last() -> None:
    members = Members()
    member = add(members, "a", protocols={"x": b"", "y": b""})
    members.update(member, join_attempt(protocols={"y": b"2"}, session_ms=9_000, rebalance_ms=5_000))
    assert not members.all_support_one_of((ClassicProtocol("x", b""),))
    assert members.select_protocol() == "y"
    assert (member.session_timeout_ms, members.rebalance_timeout_ms) == (9_000, 5_000)


def test_a_rebalance_waits_as_long_as_the_slowest_member_asks() -> None:
    members = Members()
    assert members.rebalance_timeout_ms == 0
    add(members, "a", rebalance_ms=5)
    slowest = add(members, "b", rebalance_ms=50)
    assert members.rebalance_timeout_ms == 50
    members.remove(slowest, GONE)
    assert members.rebalance_timeout_ms == 5


names = st.sampled_from("uvwxyz")
protocols_of_members = st.lists(st.lists(names, min_size=1, max_size=4), min_size=1, max_size=6)


@given(protocols_of_members, st.lists(names, min_size=1), st.data())
def test_support_is_that_of_everybody_who_is_there(supported, asked, data) -> None:
    members = Members()
    for number, own in enumerate(supported):
        attempt = join_attempt()
        member = Member.from_attempt(str(number), attempt)
        member.protocols = tuple(ClassicProtocol(name, b"") for name in own)  # a client may name one twice
        members.add(member)
    removed = data.draw(st.sets(st.sampled_from(range(len(supported))), max_size=len(supported) - 1))
    for number in removed:
        members.remove(members[str(number)], GONE)
    left = [set(own) for number, own in enumerate(supported) if number not in removed]
    common = set.intersection(*left)
    assert members.all_support_one_of(tuple(ClassicProtocol(name, b"") for name in asked)) == bool(common & set(asked))
    if common:
        assert members.select_protocol() in common
