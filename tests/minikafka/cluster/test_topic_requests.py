import random

import pytest

from minikafka.cluster.metadata import PartitionState, TopicMetadata
from minikafka.cluster.topic_requests import (
    MAX_PARTITIONS_PER_REQUEST,
    ManualReplicas,
    TopicDefaults,
    TopicSpec,
    check_name,
    check_settings,
    plan_growth,
    plan_topic,
)
from minikafka.errors import (
    InvalidConfig,
    InvalidPartitions,
    InvalidReplicaAssignment,
    InvalidReplicationFactor,
    InvalidRequest,
    InvalidTopic,
    PolicyViolation,
)

DEFAULTS = TopicDefaults(4, 1)


def plan(spec, brokers=(1, 2, 3), defaults=DEFAULTS):
    return plan_topic(spec, brokers, defaults, random.Random(0))


@pytest.mark.parametrize("name", ["a", "a.b-c_D9", "x" * 249, "__consumer_offsets"])
def test_legal_names_are_taken(name):
    check_name(name, [])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty string"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("x" * 250, "longer than the max allowed length 249"),
        ("a/b", "other than ASCII alphanumerics"),
        ("../x", "other than ASCII alphanumerics"),
        ("a\0b", "other than ASCII alphanumerics"),
        ("ünicode", "other than ASCII alphanumerics"),
        ("a b", "other than ASCII alphanumerics"),
        ("a\n", "other than ASCII alphanumerics"),
    ],
)
def test_illegal_names_are_refused_with_the_reason(name, why):
    with pytest.raises(InvalidTopic, match=why):
        check_name(name, [])


@pytest.mark.parametrize(("name", "existing"), [("a.b", "a_b"), ("a_b", "a.b"), ("a.b_c", "a_b.c")])
def test_names_that_differ_in_dots_and_underscores_only_collide(name, existing):
    with pytest.raises(InvalidTopic, match=f"Topic '{name}' collides with existing topic: {existing}"):
        check_name(name, ["other", existing])


def test_a_name_does_not_collide_with_itself_or_with_others():
    check_name("a.b", ["a.b", "ab", "a-b"])


def test_settings_without_a_value_are_refused():
    assert check_settings({"a": "1"}) == {"a": "1"}
    with pytest.raises(InvalidConfig, match="Null value not supported for topic configs: a,b"):
        check_settings({"b": None, "a": None, "c": "1"})


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (TopicSpec("t"), (4, 1)),
        (TopicSpec("t", 2), (2, 1)),
        (TopicSpec("t", replication_factor=3), (4, 3)),
        (TopicSpec("t", 5, 2), (5, 2)),
    ],
)
def test_what_is_not_said_is_default(spec, shape):
    assignment = plan(spec)
    assert (len(assignment), len(assignment[0])) == shape


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (TopicSpec("t", 0), InvalidPartitions, "non-positive"),
        (TopicSpec("t", -2), InvalidPartitions, "non-positive"),
        (TopicSpec("t", 1, 0), InvalidReplicationFactor, "larger than 0"),
        (TopicSpec("t", 1, -2), InvalidReplicationFactor, "larger than 0"),
        (TopicSpec("t", 1, 4), InvalidReplicationFactor, r"only 3 broker\(s\) are registered"),
        (TopicSpec("t", 2**31 - 1), PolicyViolation, "Excessively large"),
        (TopicSpec("t", MAX_PARTITIONS_PER_REQUEST + 1), PolicyViolation, "Excessively large"),
    ],
)
def test_impossible_numbers_are_refused(spec, error, message):
    with pytest.raises(error, match=message):
        plan(spec)


def test_replicas_that_the_client_chose_are_taken_in_the_order_of_partitions():
    spec = TopicSpec("t", manual_replicas=[ManualReplicas(1, (2, 3)), ManualReplicas(0, (3, 1))])
    assert plan(spec) == ((3, 1), (2, 3))


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (TopicSpec("t", 1, -1, [ManualReplicas(0, (1,))]), InvalidRequest, "numPartitions was not set to -1"),
        (TopicSpec("t", -1, 1, [ManualReplicas(0, (1,))]), InvalidRequest, "replication factor was not set to -1"),
        (
            TopicSpec("t", manual_replicas=[ManualReplicas(1, (1,))]),
            InvalidReplicaAssignment,
            "consecutive 0-based integer sequence",
        ),
        (
            TopicSpec("t", manual_replicas=[ManualReplicas(0, (1,)), ManualReplicas(0, (1,))]),
            InvalidReplicaAssignment,
            "multiple manual partition assignments for partition 0",
        ),
        (TopicSpec("t", manual_replicas=[ManualReplicas(0, (9,))]), InvalidReplicaAssignment, "no such broker"),
    ],
)
def test_an_impossible_choice_of_replicas_is_refused(spec, error, message):
    with pytest.raises(error, match=message):
        plan(spec)


TOPIC = TopicMetadata("t", b"", (PartitionState(1, 0, (1, 2), (1, 2)),) * 2)


def grow(count, manual=None, brokers=(1, 2, 3)):
    return plan_growth(TOPIC, count, manual, brokers, random.Random(0))


def test_new_partitions_have_as_many_replicas_as_the_old_ones():
    assert [len(replicas) for replicas in grow(5)] == [2, 2, 2]
    assert grow(3, [(3, 1)]) == ((3, 1),)


@pytest.mark.parametrize(
    ("count", "manual", "error", "message"),
    [
        (2, None, InvalidPartitions, r"Topic already has 2 partition\(s\)"),
        (1, None, InvalidPartitions, "would not be an increase"),
        (-1, None, InvalidPartitions, "would not be an increase"),
        (4, [(1, 2)], InvalidReplicaAssignment, r"add 2 additional partition\(s\), but only 1 assignment"),
        (3, [(1,)], InvalidReplicaAssignment, "not consistent with previous partitions"),
        (3, [(1, 9)], InvalidReplicaAssignment, "no such broker"),
        (2**31 - 1, None, PolicyViolation, "Excessively large"),
    ],
)
def test_growth_that_cannot_be_is_refused(count, manual, error, message):
    with pytest.raises(error, match=message):
        grow(count, manual)


def test_growth_without_enough_brokers_is_refused():
    with pytest.raises(InvalidReplicationFactor):
        grow(3, brokers=(1,))
