import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikafka.cluster.placement import assign_replicas, check_assignment
from minikafka.errors import InvalidReplicaAssignment, InvalidReplicationFactor


class Always0(random.Random):
    def randrange(self, *_):
        return 0


def test_replicas_go_round_the_brokers_as_the_picture_shows():
    assert assign_replicas([3, 1, 2], 5, 2, Always0()) == ((1, 2), (2, 3), (3, 1), (1, 3), (2, 1))


def test_more_partitions_go_on_where_the_first_ended():
    whole = assign_replicas([1, 2, 3], 5, 2, Always0())
    assert assign_replicas([1, 2, 3], 2, 2, Always0(), first_partition=3) == whole[3:]


@given(
    brokers=st.sets(st.integers(0, 1000), min_size=1, max_size=7),
    partitions=st.integers(1, 60),
    data=st.data(),
    seed=st.integers(),
)
def test_every_partition_has_distinct_replicas_and_leaders_are_spread_evenly(brokers, partitions, data, seed):
    factor = data.draw(st.integers(1, len(brokers)))
    assignment = assign_replicas(list(brokers), partitions, factor, random.Random(seed))
    assert len(assignment) == partitions
    for replicas in assignment:
        assert len(set(replicas)) == len(replicas) == factor
        assert set(replicas) <= brokers
    leaders = Counter(replicas[0] for replicas in assignment)
    assert max(leaders.values()) - min(leaders[broker] for broker in brokers) <= 1


def test_more_replicas_than_brokers_are_refused():
    with pytest.raises(InvalidReplicationFactor, match=r"Unable to replicate the partition 2 time\(s\).*only 1 broker"):
        assign_replicas([1], 1, 2, Always0())


@pytest.mark.parametrize(
    ("assignment", "factor", "message"),
    [
        (((),), None, "empty replica list"),
        (((1, 1),), None, "the broker 1 more than once"),
        (((1, 9),), None, "includes broker 9, but no such broker"),
        (((1, 2), (1,)), None, r"partition with 1 replica\(s\).*have 2 replica\(s\)"),
        (((1,),), 2, r"partition with 1 replica\(s\).*have 2 replica\(s\)"),
    ],
)
def test_an_impossible_choice_of_replicas_is_refused(assignment, factor, message):
    with pytest.raises(InvalidReplicaAssignment, match=message):
        check_assignment(assignment, [1, 2], factor)


def test_a_possible_choice_of_replicas_is_taken():
    check_assignment(((2, 1), (1, 2)), [1, 2], 2)
