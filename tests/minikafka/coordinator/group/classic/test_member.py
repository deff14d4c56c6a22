import pytest

from minikafka.coordinator.group.classic.member import Member, answer, refuse
from minikafka.coordinator.group.values import Client, SyncResult
from minikafka.errors import RebalanceInProgress, UnknownMemberId
from tests.minikafka.coordinator.group.classic.harness import Reply, join_attempt


def new_member(**fields) -> Member:
    return Member.from_attempt("m", join_attempt(**fields))


def test_an_answer_goes_to_who_waits_and_to_nobody_else() -> None:
    gone: Reply[str] = Reply()
    gone.cancelled = True
    waiting: Reply[str] = Reply()
    for promise in (None, gone, waiting):
        answer(promise, "yes")
        refuse(promise, UnknownMemberId("no"))
    assert waiting.result() == "yes"
    assert gone.answer is None and gone.error is None


def test_a_member_is_what_it_joined_as() -> None:
    member = new_member(instance="i", client_id="c", session_ms=7_000, rebalance_ms=8_000)
    assert member.is_static
    assert member.client == Client("c", "/127.0.0.1")
    assert (member.session_timeout_ms, member.rebalance_timeout_ms) == (7_000, 8_000)
    assert not new_member().is_static


def test_a_member_votes_for_the_first_of_its_protocols_that_can_be_chosen() -> None:
    member = new_member(protocols={"a": b"", "b": b"", "c": b""})
    assert member.vote({"c", "b"}) == "b"
    with pytest.raises(ValueError, match="supports none"):
        member.vote({"d"})


def test_metadata_is_that_of_the_protocol() -> None:
    member = new_member(protocols={"a": b"1", "b": b"2"})
    assert member.metadata("b") == b"2"
    assert member.metadata("c") == member.metadata(None) == b""


def test_a_second_sync_of_a_member_takes_the_place_of_the_first() -> None:
    member = new_member()
    first: Reply[SyncResult] = Reply()
    second: Reply[SyncResult] = Reply()
    member.await_assignment(first)
    member.await_assignment(second)
    assert isinstance(first.error, RebalanceInProgress)
    member.answer_sync(SyncResult("consumer", "range", b"x"))
    assert second.result().assignment == b"x"
    assert not member.is_waiting


def test_a_member_whose_client_has_gone_away_does_not_wait() -> None:
    member = new_member()
    reply: Reply[SyncResult] = Reply()
    member.await_assignment(reply)
    assert member.is_waiting
    reply.cancelled = True
    assert not member.is_waiting


def test_a_member_is_described_with_what_it_said_under_the_protocol() -> None:
    member = new_member(instance="i", protocols={"a": b"1"})
    member.assignment = b"x"
    described = member.describe("a")
    assert (described.member_id, described.group_instance_id) == ("m", "i")
    assert (described.metadata, described.assignment) == (b"1", b"x")
    assert member.describe(None).metadata == b""
