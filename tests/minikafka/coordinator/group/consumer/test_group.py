from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from minikafka.coordinator.group.consumer.partitions import NO_PARTITIONS
from minikafka.coordinator.group.values import GroupLimits, GroupListing, NewMemberId
from minikafka.errors import (
    FencedInstanceId,
    FencedMemberEpoch,
    GroupMaxSizeReached,
    InvalidRegularExpression,
    KafkaError,
    NonEmptyGroup,
    StaleMemberEpoch,
    UnknownMemberId,
    UnreleasedInstanceId,
)
from minikafka.observability import logging
from tests.minikafka.coordinator.group.consumer.harness import (
    REBALANCE_MS,
    SESSION_MS,
    Consumer,
    Harness,
    count,
    is_shared_out,
    settle,
)

# Coming and going


def test_the_first_member_has_everything_with_its_first_answer() -> None:
    harness = Harness()
    joined = harness.join("a")
    assert (joined.member_id, joined.member_epoch, joined.heartbeat_interval_ms) == ("a", 1, 5_000)
    assert joined.assignment == harness.orders(0, 1, 2, 3)
    assert harness.state == "Stable"


def test_a_member_without_an_id_is_given_one() -> None:
    harness = Harness()
    joined = harness.join("")
    assert joined.member_id == "client-1"
    assert harness.beat("client-1", 1).member_epoch == 1


def test_a_member_may_subscribe_to_nothing_or_to_what_is_not_there_yet() -> None:
    harness = Harness()
    assert harness.join("a", subscribed_topic_regex="", subscribed_topic_names=()).assignment == {}
    assert harness.join("b", "returns").assignment == {}
    harness.topics.create("returns", 1)
    assert harness.beat("b", 2).assignment == harness.topics.partitions("returns")


def test_a_heartbeat_without_news_has_no_assignment_and_writes_nothing() -> None:
    harness = Harness()
    harness.join("a")
    before = len(harness.log)
    assert harness.beat("a", 1).assignment is None
    assert len(harness.log) == before


def test_a_member_that_says_everything_is_told_everything() -> None:
    harness = Harness()
    harness.join("a")
    answer = harness.beat(
        "a", 1, rebalance_timeout_ms=REBALANCE_MS, subscribed_topic_names=("orders",), owned=harness.orders(0)
    )
    assert answer.assignment == harness.orders(0, 1, 2, 3)


def test_a_partition_goes_to_another_member_only_when_the_first_has_shown_that_it_let_go() -> None:
    harness = Harness()
    harness.join("a")
    joined = harness.join("b")
    assert (joined.member_epoch, joined.assignment) == (2, {})
    told = harness.beat("a", 1)
    kept = told.assignment
    assert kept is not None
    assert (told.member_epoch, count(kept)) == (1, 2)
    assert harness.state == "Reconciling"
    assert harness.beat("b", 2).assignment is None
    assert harness.beat("a", 1).member_epoch == 1  # without word of what it owns nothing has changed
    assert harness.beat("a", 1, owned=harness.orders(0, 1, 2, 3)).member_epoch == 1
    assert harness.beat("b", 2).assignment is None
    assert harness.beat("a", 1, owned=kept).member_epoch == 2
    got = harness.beat("b", 2).assignment
    assert got is not None
    assert sorted([*kept[harness.topics.topic_id("orders")], *got[harness.topics.topic_id("orders")]]) == [0, 1, 2, 3]
    assert harness.state == "Stable"


def test_members_that_come_and_go_settle_with_each_partition_once() -> None:
    harness = Harness(orders=7)
    consumers = [Consumer(harness, name, "orders").join() for name in "abc"]
    settle(*consumers)
    assert sorted(count(consumer.owned) for consumer in consumers) == [2, 2, 3]
    assert is_shared_out(harness.topics, "orders", *consumers)
    consumers.pop(1).leave()
    settle(*consumers)
    assert is_shared_out(harness.topics, "orders", *consumers)


def test_a_member_that_left_is_not_known_any_more() -> None:
    harness = Harness()
    harness.join("a")
    left = harness.beat("a", -1)
    assert (left.member_id, left.member_epoch, left.assignment) == ("a", -1, None)
    assert (harness.state, harness.group.is_empty) == ("Empty", True)
    for epoch in (1, -1):
        with pytest.raises(UnknownMemberId):
            harness.beat("a", epoch)


def test_a_silent_member_is_removed_when_its_session_is_over() -> None:
    harness = Harness()
    harness.join("a")
    harness.join("b")
    harness.advance(SESSION_MS - 1)
    harness.beat("a", 1)
    harness.advance(1)
    assert set(harness.group.members) == {"a"}
    harness.advance(SESSION_MS)
    assert harness.group.is_empty


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged."""
    made = io.StringIO()
    logging.configure("json", "info", made)
    yield made
    logging.configure("pretty", "warning")


def test_who_is_removed_is_logged_and_what_was_waited_for(lines: io.StringIO) -> None:
    harness = Harness()
    harness.join("a")
    harness.advance(SESSION_MS)
    line = json.loads(lines.getvalue())
    assert (line["event"], line["member"], line["missed"]) == ("group_member_removed", "a", "heartbeat")


def test_members_whose_sessions_are_over_at_once_are_removed_at_once() -> None:
    harness = Harness()
    for name in "abc":
        harness.join(name)
    epoch = harness.group_epoch
    harness.advance(SESSION_MS)
    assert (harness.group.is_empty, harness.group_epoch) == (True, epoch + 1)


def test_a_member_that_does_not_let_go_in_time_is_removed() -> None:
    harness = Harness()
    harness.join("a")
    harness.join("b")
    for _ in range(0, REBALANCE_MS, 10_000):  # both live, but the first does not do as it was told
        harness.beat("a", 1)
        harness.beat("b", 2)
        harness.advance(10_000)
    assert set(harness.group.members) == {"b"}
    assert harness.beat("b", 2).assignment == harness.orders(0, 1, 2, 3)


def test_letting_go_late_but_in_time_is_enough() -> None:
    harness = Harness()
    harness.join("a")
    harness.join("b")
    kept = harness.beat("a", 1).assignment
    for _ in range(0, REBALANCE_MS - 10_000, 10_000):
        harness.advance(10_000)
        harness.beat("a", 1)
        harness.beat("b", 2)
    harness.beat("a", 1, owned=kept)
    harness.advance(20_000)
    assert set(harness.group.members) == {"a", "b"}


def test_no_more_members_come_in_than_are_allowed() -> None:
    harness = Harness(GroupLimits(consumer_max_size=1))
    harness.join("a")
    with pytest.raises(GroupMaxSizeReached):
        harness.join("b")
    harness.join("a")
    harness.beat("a", -1)
    harness.join("b")


# Epochs


def test_a_member_whose_answer_was_lost_comes_with_the_epoch_before() -> None:
    harness = Harness()
    harness.join("a")
    harness.topics.grow("orders", 6)
    lost = harness.beat("a", 1)
    assert lost.member_epoch == 2
    again = harness.beat("a", 1, owned=harness.orders(0, 1, 2, 3))
    assert again.member_epoch == 2
    assert again.assignment is None or again.assignment == harness.orders(0, 1, 2, 3, 4, 5)


def test_after_a_lost_answer_a_member_that_says_everything_learns_all_that_it_has() -> None:
    harness = Harness()
    harness.join("a")
    harness.topics.grow("orders", 6)
    harness.beat("a", 1)
    everything = {"rebalance_timeout_ms": REBALANCE_MS, "subscribed_topic_names": ("orders",)}
    again = harness.beat("a", 1, owned=harness.orders(0, 1, 2, 3), **everything)
    assert (again.member_epoch, again.assignment) == (2, harness.orders(0, 1, 2, 3, 4, 5))


@pytest.mark.parametrize("epoch", [1, 3, 7])
def test_any_other_epoch_is_fenced(epoch: int) -> None:
    harness = Harness()
    harness.join("a")
    harness.topics.grow("orders", 6)
    harness.beat("a", 1)
    with pytest.raises(FencedMemberEpoch):
        harness.beat("a", epoch)  # the epoch before is not enough without word of what it owns
    assert harness.beat("a", 2).member_epoch == 2


def test_a_member_one_epoch_behind_that_has_what_it_should_not_is_fenced() -> None:
    harness = Harness()
    harness.join("a")
    harness.join("b")
    kept = harness.beat("a", 1).assignment
    harness.beat("a", 1, owned=kept)
    with pytest.raises(FencedMemberEpoch):
        harness.beat("a", 1, owned=harness.orders(0, 1, 2, 3))


def test_a_fenced_member_joins_again_under_its_id_without_keeping_others_waiting() -> None:
    harness = Harness()
    harness.join("a")
    harness.join("b")
    again = harness.join("a")
    assert again.member_epoch == 2
    assert count(again.assignment or {}) == 2
    assert count(harness.beat("b", 2).assignment or {}) == 2


def test_an_epoch_begins_with_members_subscriptions_and_topics_and_with_nothing_else() -> None:
    harness = Harness(orders=4, returns=2)
    harness.join("a")
    assert harness.group_epoch == 1
    for change in (
        lambda: harness.beat("a", 1, rack_id="north"),
        lambda: harness.beat("a", 1, subscribed_topic_names=("orders", "orders")),
        lambda: harness.topics.create("others", 3),
        lambda: harness.topics.grow("returns", 3),
        lambda: harness.beat("a", 1),
    ):
        change()
    assert harness.group_epoch == 1
    assert harness.beat("a", 1, subscribed_topic_names=("orders", "returns")).member_epoch == 2
    harness.topics.grow("returns", 4)
    assert harness.beat("a", 2).member_epoch == 3
    harness.join("b")
    assert harness.group_epoch == 4
    harness.beat("b", -1)
    assert harness.group_epoch == 5


def test_a_topic_that_is_made_anew_is_another_one() -> None:
    harness = Harness()
    harness.join("a")
    before = harness.topics.topic_id("orders")
    after = harness.topics.create("orders", 1)
    consumer_heard = harness.beat("a", 1)
    let_go = harness.beat("a", 1, owned={})
    assert before != after
    assert {consumer_heard.member_epoch, let_go.member_epoch} == {1, 2}
    assert let_go.assignment == {after: frozenset({0})}


def test_a_topic_that_is_gone_is_taken_from_its_members() -> None:
    harness = Harness(orders=1, returns=1)
    consumer = Consumer(harness, "a", "orders", "returns").join()
    harness.topics.delete("returns")
    settle(consumer)
    assert consumer.owned == harness.topics.partitions("orders")


# Expressions


def test_members_read_the_topics_that_their_expression_matches_as_a_whole() -> None:
    harness = Harness(orders=1, reorders=1)
    consumer = Consumer(harness, "a", subscribed_topic_regex="orders.*").join()
    assert consumer.owned == harness.topics.partitions("orders")
    harness.topics.create("orders-eu", 1)
    settle(consumer)
    assert is_shared_out(harness.topics, "orders-eu", consumer)
    harness.topics.delete("orders-eu")
    settle(consumer)
    assert consumer.owned == harness.topics.partitions("orders")


def test_names_and_an_expression_add_up() -> None:
    harness = Harness(orders=1, returns=1, others=1)
    joined = harness.join("a", subscribed_topic_regex="ret.*", subscribed_topic_names=("orders",))
    assert joined.assignment == {**harness.topics.partitions("orders"), **harness.topics.partitions("returns")}


def test_an_empty_expression_ends_the_subscription_by_one() -> None:
    harness = Harness(orders=1, returns=1)
    harness.join("a", subscribed_topic_regex="ret.*", subscribed_topic_names=("orders",))
    harness.beat("a", 1, subscribed_topic_regex="")
    let_go = harness.beat("a", 1, owned=harness.orders(0))
    assert let_go.member_epoch == 2
    assert harness.member("a").subscribed_topic_regex is None


@pytest.mark.parametrize("expression", ["(", "(?=a)", r"(a)\1", "a{2000}"])
def test_an_expression_that_cannot_be_used_is_refused_and_changes_nothing(expression: str) -> None:
    harness = Harness()
    with pytest.raises(InvalidRegularExpression):
        harness.join("a", subscribed_topic_regex=expression)
    assert (harness.group.is_empty, harness.log) == (True, [])


# Static members


def test_a_static_member_that_comes_back_has_what_it_had_without_an_epoch() -> None:
    harness = Harness()
    consumers = [Consumer(harness, name, "orders", instance_id=f"i-{name}").join() for name in "ab"]
    settle(*consumers)
    had, epoch = consumers[0].owned, harness.group_epoch
    consumers[0].leave_for_a_while()
    assert harness.member("a").epoch == -2
    settle(consumers[1])
    back = Consumer(harness, "a2", "orders", instance_id="i-a").join()
    assert (back.owned, back.epoch, harness.group_epoch) == (had, epoch, epoch)
    assert set(harness.group.members) == {"a2", "b"}


def test_a_static_member_that_does_not_come_back_is_removed_when_its_session_is_over() -> None:
    harness = Harness()
    harness.join("a", instance_id="i")
    harness.advance(20_000)
    harness.beat("a", -2, instance_id="i")
    harness.advance(SESSION_MS - 20_000)
    assert harness.group.is_empty


def test_an_instance_that_is_in_use_is_not_given_to_another() -> None:
    harness = Harness()
    harness.join("a", instance_id="i")
    with pytest.raises(UnreleasedInstanceId):
        harness.join("b", instance_id="i")
    harness.beat("a", -1, instance_id="i")
    harness.join("b", instance_id="i")


def test_a_replaced_static_member_is_fenced() -> None:
    harness = Harness()
    harness.join("a", instance_id="i")
    harness.beat("a", -2, instance_id="i")
    harness.join("b", instance_id="i")
    for epoch in (1, -1, -2):
        with pytest.raises(FencedInstanceId):
            harness.beat("a", epoch, instance_id="i")
    with pytest.raises(UnknownMemberId):
        harness.beat("b", 1, instance_id="j")


def test_a_static_member_that_repeats_its_join_is_who_it_was() -> None:
    harness = Harness()
    harness.join("a", instance_id="i")
    again = harness.join("a", instance_id="i")
    assert (again.member_epoch, again.assignment) == (1, harness.orders(0, 1, 2, 3))


def test_a_static_member_that_comes_back_may_subscribe_to_something_else() -> None:
    harness = Harness(orders=1, returns=1)
    harness.join("a", "orders", instance_id="i")
    harness.beat("a", -2, instance_id="i")
    back = Consumer(harness, "b", "returns", instance_id="i").join()
    settle(back)
    assert back.owned == harness.topics.partitions("returns")


def test_what_a_static_member_was_to_let_go_is_free_when_it_goes_away() -> None:
    harness = Harness()
    harness.join("a", instance_id="i")
    other = Consumer(harness, "b", "orders").join()
    harness.beat("a", 1, instance_id="i")
    harness.beat("a", -2, instance_id="i")
    settle(other)
    assert count(other.owned) == 2


# Offsets


def test_offsets_are_for_members_at_their_epoch() -> None:
    harness = Harness()
    harness.join("a")
    group, now_ms = harness.group, harness.now_ms
    group.check_commit(harness.claim("a", 1), now_ms)
    group.check_fetch(harness.claim("a", 1))
    group.check_fetch(None)
    for claim, error in (
        (harness.claim("a", 0), StaleMemberEpoch),
        (harness.claim("a", 2), StaleMemberEpoch),
        (harness.claim("b", 1), UnknownMemberId),
        (harness.claim("", -1), UnknownMemberId),
    ):
        with pytest.raises(error):
            group.check_commit(claim, now_ms)
        with pytest.raises(error):
            group.check_fetch(claim)


def test_anybody_may_commit_for_a_group_without_members() -> None:
    harness = Harness()
    harness.join("a")
    harness.beat("a", -1)
    harness.group.check_commit(harness.claim("", -1), harness.now_ms)
    with pytest.raises(UnknownMemberId):
        harness.group.check_commit(harness.claim("a", 1), harness.now_ms)


def test_topics_are_subscribed_to_by_name_and_by_expression() -> None:
    harness = Harness(orders=1, returns=1, others=1)
    harness.join("a", "orders")
    harness.join("b", subscribed_topic_regex="ret.*")
    found = {name: harness.group.is_subscribed_to(name) for name in harness.topics.names()}
    assert found == {"orders": True, "returns": True, "others": False}


# Its end, and what it is known by


def test_a_group_with_members_cannot_be_deleted() -> None:
    harness = Harness()
    harness.join("a")
    with pytest.raises(NonEmptyGroup):
        harness.group.check_delete()
    harness.beat("a", -1)
    harness.group.check_delete()


def test_tombstones_delete_all_that_was_written() -> None:
    harness = Harness(orders=2, returns=1)
    harness.join("a", subscribed_topic_regex="ret.*")
    harness.join("b", instance_id="i")
    harness.beat("a", -1)
    last = {repr(record.key): record.value for record in [*harness.log, *harness.group.tombstones()]}
    assert set(last.values()) == {None}


def test_a_group_is_described_with_what_members_have_and_shall_have() -> None:
    harness = Harness()
    harness.join("b", rack_id="north", server_assignor="range")
    harness.join("a", instance_id="i", subscribed_topic_regex="or.*")
    described = harness.group.describe_consumer()
    assert (described.group_id, described.state) == ("g", "Reconciling")
    assert (described.group_epoch, described.assignment_epoch, described.assignor_name) == (2, 2, "range")
    first, second = described.members
    assert (first.member_id, first.instance_id, first.subscribed_topic_regex) == ("a", "i", "or.*")
    assert (first.assignment, first.target_assignment) == (NO_PARTITIONS, harness.orders(0, 1))
    assert (second.member_id, second.rack_id, second.member_epoch) == ("b", "north", 1)
    assert (second.assignment, second.target_assignment) == (harness.orders(0, 1, 2, 3), harness.orders(2, 3))
    assert not first.is_classic
    assert harness.group.listing() == GroupListing("g", "consumer", "Reconciling", "consumer")
    assert harness.group.describe().state == "Dead"


# The log


def test_a_group_is_as_it_was_after_it_was_loaded() -> None:
    harness = Harness(orders=5, returns=1)
    consumers = [
        Consumer(harness, "a", "orders").join(),
        Consumer(harness, "b", "orders", instance_id="i", rack_id="north").join(),
        Consumer(harness, "c", subscribed_topic_regex="ret.*", server_assignor="range").join(),
    ]
    consumers[0].beat()
    before = harness.group.describe_consumer()
    assert before.state == "Reconciling"
    harness.restart()
    assert harness.group.describe_consumer() == before
    assert harness.group.members["b"].rebalance_timeout_ms == REBALANCE_MS
    settle(*consumers)
    assert harness.group_epoch == before.group_epoch
    assert is_shared_out(harness.topics, "orders", *consumers)


def test_after_loading_members_have_the_time_of_a_session() -> None:
    harness = Harness()
    harness.join("a")
    harness.advance(SESSION_MS - 1)
    harness.restart()
    harness.advance(SESSION_MS - 1)
    assert set(harness.group.members) == {"a"}
    harness.advance(1)
    assert harness.group.is_empty


def test_after_loading_a_member_still_has_to_let_go_in_time() -> None:
    harness = Harness()
    harness.join("a")
    harness.join("b")
    harness.beat("a", 1)
    harness.restart()
    for _ in range(0, REBALANCE_MS, 10_000):
        harness.beat("a", 1)
        harness.beat("b", 2)
        harness.advance(10_000)
    assert set(harness.group.members) == {"b"}


def test_topics_that_changed_while_the_group_was_not_loaded_are_noticed() -> None:
    harness = Harness()
    harness.join("a")
    harness.restart()
    assert harness.beat("a", 1).member_epoch == 1
    harness.topics.grow("orders", 6)
    harness.restart()
    assert harness.beat("a", 1).assignment == harness.orders(0, 1, 2, 3, 4, 5)


def test_nothing_of_a_refused_request_is_kept() -> None:
    harness = Harness()
    harness.join("a", instance_id="i")
    before, written = harness.group.describe_consumer(), len(harness.log)
    for refused in (
        lambda: harness.join("b", server_assignor="sticky"),
        lambda: harness.join("b", subscribed_topic_regex="("),
        lambda: harness.join("b", instance_id="i"),
        lambda: harness.beat("a", 5, rack_id="south"),
        lambda: harness.beat("a", 1, instance_id="j"),
        lambda: harness.beat("", 1),
    ):
        with pytest.raises(KafkaError) as caught:
            refused()
        assert not isinstance(caught.value, NewMemberId)
    assert (harness.group.describe_consumer(), len(harness.log)) == (before, written)
