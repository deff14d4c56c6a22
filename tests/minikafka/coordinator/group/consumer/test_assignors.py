from minikafka.config.broker import BROKER_KEYS
from minikafka.coordinator.group.consumer.assignors import ASSIGNORS
from minikafka.coordinator.group.consumer.range_assignor import assign_ranges
from minikafka.coordinator.group.consumer.uniform import assign_uniformly


def test_the_names_are_those_of_kafka() -> None:
    assert {"uniform": assign_uniformly, "range": assign_ranges} == ASSIGNORS


def test_what_is_configured_by_default_is_there() -> None:
    assert tuple(ASSIGNORS) == BROKER_KEYS["group.consumer.assignors"].default
