from __future__ import annotations

from minikafka.coordinator.group.consumer.ledger import Ledger, Resolved
from minikafka.coordinator.group.consumer.member import Member
from minikafka.coordinator.group.consumer.target import compute_target, preferred_assignor
from tests.minikafka.coordinator.group.consumer.harness import CLIENT
from tests.support.group_topics import Topics

CONFIGURED = ("uniform", "range")


def ledger(*members: Member) -> Ledger:
    made = Ledger("g")
    for member in members:
        made.put(member)
    return made


def voter(member_id: str, assignor: str | None) -> Member:
    return Member(member_id, CLIENT, server_assignor=assignor)


def reader(member_id: str, *topics: str, expression: str | None = None) -> Member:
    return Member(member_id, CLIENT, subscribed_topic_names=topics, subscribed_topic_regex=expression)


def test_the_first_that_is_configured_is_for_groups_without_wishes() -> None:
    assert preferred_assignor(ledger(voter("a", None)), CONFIGURED) == "uniform"
    assert preferred_assignor(ledger(voter("a", None)), ("range", "uniform")) == "range"


def test_most_votes_win_and_of_equals_the_first_that_is_configured() -> None:
    votes = [voter("a", "range"), voter("b", "uniform"), voter("c", None)]
    assert preferred_assignor(ledger(*votes), CONFIGURED) == "uniform"
    assert preferred_assignor(ledger(*votes, voter("d", "range")), CONFIGURED) == "range"


def test_a_vote_for_one_that_is_not_configured_any_more_does_not_count() -> None:
    assert preferred_assignor(ledger(voter("a", "range")), ("uniform",)) == "uniform"


def test_members_share_the_topics_they_subscribe_to_by_name_or_expression() -> None:
    topics = Topics(orders=2, returns=2)
    made = ledger(reader("a", "orders", "nowhere"), reader("b", expression="ret.*"))
    made.resolve("ret.*", Resolved(frozenset({"returns"}), topics.version))
    assert compute_target(made, topics, "uniform") == {
        "a": topics.partitions("orders"),
        "b": topics.partitions("returns"),
    }


def test_the_last_target_is_what_the_uniform_assignor_sticks_to() -> None:
    topics = Topics(orders=4)
    made = ledger(reader("a", "orders"), reader("b", "orders"))
    made.set_target("b", topics.partitions("orders", [0, 3]))
    assert compute_target(made, topics, "uniform")["b"] == topics.partitions("orders", [0, 3])
    assert compute_target(made, topics, "range")["b"] == topics.partitions("orders", [2, 3])
