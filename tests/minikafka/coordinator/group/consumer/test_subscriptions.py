from __future__ import annotations

import pytest

from minikafka.coordinator.group.consumer.ledger import Resolved
from minikafka.coordinator.group.consumer.member import Member
from minikafka.coordinator.group.consumer.subscriptions import (
    check_expression,
    matching,
    metadata_hash,
    topics_of,
)
from minikafka.errors import InvalidRegularExpression
from tests.minikafka.coordinator.group.consumer.harness import CLIENT
from tests.support.group_topics import Topics

NAMES = ["orders", "orders-eu", "reorders", "returns"]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("orders", {"orders"}),
        ("orders.*", {"orders", "orders-eu"}),
        ("^orders$", {"orders"}),
        ("(orders|returns)", {"orders", "returns"}),
        (".*", set(NAMES)),
        ("order", set()),
        ("ORDERS", set()),
        ("(?i)ORDERS", {"orders"}),
    ],
)
def test_an_expression_has_to_match_the_whole_name(expression: str, found: set[str]) -> None:
    assert matching(expression, NAMES) == found


@pytest.mark.parametrize("expression", ["(", "[a", "*", "(?=a)b", r"(a)\1", "(?<!a)b", "((a{100}){100}){100}"])
def test_what_is_not_in_the_syntax_of_re2_or_too_large_is_refused(expression: str) -> None:
    with pytest.raises(InvalidRegularExpression) as caught:
        check_expression(expression)
    assert repr(expression) in str(caught.value)


def test_an_expression_that_another_broker_could_use_matches_nothing_here() -> None:
    assert matching("(?=a)", NAMES) == frozenset()


def test_an_expression_that_would_take_others_for_ever_is_done_at_once() -> None:
    assert matching("(a*)*b", ["a" * 249]) == frozenset()


def test_a_member_subscribes_by_name_and_by_what_its_expression_was_resolved_to() -> None:
    member = Member("a", CLIENT, subscribed_topic_names=("orders",), subscribed_topic_regex="ret.*")
    assert list(topics_of(member, {})) == ["orders"]
    assert list(topics_of(member, {"ret.*": Resolved(frozenset({"returns"}), 1)})) == ["orders", "returns"]


def test_the_hash_is_that_of_the_topics_that_are_there() -> None:
    topics = Topics(orders=2, returns=1)
    assert metadata_hash([], topics) == metadata_hash(["nowhere"], topics) == 0
    assert metadata_hash(["returns", "orders", "nowhere"], topics) == metadata_hash(["orders", "returns"], topics)
    seen = {metadata_hash(names, topics) for names in (["orders"], ["returns"], ["orders", "returns"])}
    assert len(seen) == 3
    assert all(-(2**63) <= value < 2**63 for value in seen)


def test_the_hash_changes_when_a_topic_grows_or_is_made_anew_and_not_with_others() -> None:
    topics = Topics(orders=2)
    seen = [metadata_hash(["orders"], topics)]
    topics.create("others", 1)
    assert metadata_hash(["orders"], topics) == seen[0]
    topics.grow("orders", 3)
    seen.append(metadata_hash(["orders"], topics))
    topics.create("orders", 3)
    seen.append(metadata_hash(["orders"], topics))
    assert len(set(seen)) == 3
