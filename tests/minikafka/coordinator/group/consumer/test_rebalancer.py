from __future__ import annotations

from dataclasses import replace

from minikafka.coordinator.group.consumer.ledger import Ledger
from minikafka.coordinator.group.consumer.member import Member
from minikafka.coordinator.group.consumer.rebalancer import Rebalancer
from minikafka.coordinator.group.values import GroupLimits
from tests.minikafka.coordinator.group.consumer.harness import CLIENT
from tests.support.group_topics import Topics


class Desk:
    """A rebalancer, and what it works on."""

    def __init__(self, **topics: int) -> None:
        self.topics = Topics(**topics)
        self.ledger = Ledger("g")
        self.rebalancer = Rebalancer(self.ledger, GroupLimits(), self.topics)

    @property
    def epochs(self) -> tuple[int, int]:
        """Of the group, and of its target."""
        return self.ledger.group_epoch, self.ledger.target_epoch

    def join(self, member_id: str, *topics: str, expression: str | None = None) -> Member:
        new = Member(member_id, CLIENT, subscribed_topic_names=topics, subscribed_topic_regex=expression)
        return self.rebalancer.update(None, new, {})


def test_a_new_member_begins_an_epoch_and_has_its_target_at_once() -> None:
    desk = Desk(orders=2)
    member = desk.join("a", "orders")
    assert desk.epochs == (1, 1)
    assert (member.epoch, member.assigned) == (1, desk.topics.partitions("orders"))
    assert desk.ledger.members["a"] == member


def test_a_member_without_subscription_begins_the_first_epoch_only() -> None:
    desk = Desk()
    assert desk.join("a").epoch == 1
    assert desk.join("b").epoch == 1


def test_a_changed_subscription_begins_an_epoch_and_anything_else_does_not() -> None:
    desk = Desk(orders=2, returns=1)
    member = desk.join("a", "orders")
    member = desk.rebalancer.update(member, replace(member, rack_id="north"), None)
    assert (member.rack_id, member.epoch, desk.epochs) == ("north", 1, (1, 1))
    member = desk.rebalancer.update(member, replace(member, subscribed_topic_names=("orders", "returns")), None)
    assert (member.epoch, desk.epochs) == (2, (2, 2))


def test_removing_members_begins_one_epoch_whose_target_is_made_with_the_next_heartbeat() -> None:
    desk = Desk(orders=3)
    for name in "abc":
        desk.join(name, "orders")
    desk.rebalancer.remove(["b", "c"])
    assert desk.epochs == (4, 3)
    member = desk.ledger.members["a"]
    assert desk.rebalancer.update(member, member, None).assigned == desk.topics.partitions("orders")
    assert desk.epochs == (4, 4)


def test_topics_are_looked_at_when_they_have_changed_and_matter_when_they_are_read() -> None:
    desk = Desk(orders=2, returns=1)
    desk.join("a", "orders")
    desk.topics.grow("returns", 5)
    desk.rebalancer.follow_topics()
    assert desk.epochs == (1, 1)
    desk.topics.grow("orders", 3)
    desk.rebalancer.follow_topics()
    assert desk.epochs == (2, 1)
    desk.rebalancer.follow_topics()
    assert desk.epochs == (2, 1)


def test_a_group_without_members_does_not_follow_topics() -> None:
    desk = Desk(orders=1)
    desk.join("a", "orders")
    desk.rebalancer.remove(["a"])
    desk.topics.grow("orders", 2)
    desk.rebalancer.follow_topics()
    assert desk.epochs == (2, 1)


def test_an_expression_is_resolved_once_and_again_when_topics_changed() -> None:
    desk = Desk(orders=1)
    desk.join("a", expression="o.*")
    first = desk.ledger.expressions["o.*"]
    assert (first.topics, first.version) == ({"orders"}, desk.topics.version)
    desk.ledger.take_records()
    desk.join("b", expression="o.*")
    assert desk.ledger.expressions["o.*"] is first
    desk.topics.create("others", 1)
    desk.rebalancer.follow_topics()
    assert desk.ledger.expressions["o.*"].topics == {"orders", "others"}


def test_topics_that_change_nothing_for_an_expression_begin_no_epoch() -> None:
    desk = Desk(orders=1)
    desk.join("a", expression="o.*")
    desk.topics.create("returns", 1)
    desk.rebalancer.follow_topics()
    assert desk.epochs == (1, 1)


def test_an_expression_is_forgotten_with_its_last_subscriber() -> None:
    desk = Desk(orders=1)
    desk.join("a", expression="o.*")
    member = desk.join("b", expression="o.*")
    desk.rebalancer.remove(["a"])
    assert set(desk.ledger.expressions) == {"o.*"}
    desk.rebalancer.update(member, replace(member, subscribed_topic_regex=None), None)
    assert desk.ledger.expressions == {}


def test_topics_that_a_target_was_made_for_elsewhere_begin_no_epoch() -> None:
    desk = Desk(orders=1)
    member = Member("a", CLIENT, subscribed_topic_names=("orders",), epoch=4)
    desk.ledger.adopt(4, [member])
    desk.rebalancer.adopt_topics()
    desk.rebalancer.follow_topics()
    assert desk.epochs == (4, 4)
    desk.topics.grow("orders", 2)
    desk.rebalancer.follow_topics()
    assert desk.epochs == (5, 4)
