from __future__ import annotations

import re

import pytest

from minikafka_client.consumer.subscription import Subscription, subscription_to, wanted_topics


def test_topics_by_name_are_meant_whether_they_exist_or_not() -> None:
    assert subscription_to(["orders", "bills"]).topics(["orders", "other"]) == {"orders", "bills"}


def test_a_pattern_means_existing_topics_whose_whole_names_match() -> None:
    subscription = subscription_to(re.compile("order.*"))
    assert subscription.topics(["orders", "order", "reorders", "bills"]) == {"orders", "order"}


def test_no_pattern_matches_topics_that_belong_to_the_broker() -> None:
    assert wanted_topics((), ".*").topics(["orders", "__consumer_offsets", "__transaction_state"]) == {"orders"}


def test_a_subscription_without_topics_is_none() -> None:
    assert not Subscription()
    assert not subscription_to([])
    assert subscription_to(["orders"])
    assert subscription_to(re.compile(""))


def test_one_name_instead_of_a_list_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="list of names"):
        subscription_to("orders")


def test_options_give_names_or_a_pattern() -> None:
    assert wanted_topics(["orders"], None).names == {"orders"}
    assert wanted_topics((), re.compile("o.*")).topics(["orders"]) == {"orders"}
    with pytest.raises(ValueError, match="not both"):
        wanted_topics(["orders"], "o.*")
    with pytest.raises(ValueError, match="no regular expression"):
        wanted_topics((), "(")


def test_the_flags_of_a_pattern_go_with_its_text() -> None:
    assert subscription_to(re.compile("a.*", re.IGNORECASE | re.DOTALL)).pattern_text == "(?is)a.*"
    assert subscription_to(re.compile("a.*")).pattern_text == "a.*"
    assert subscription_to(["a"]).pattern_text is None
