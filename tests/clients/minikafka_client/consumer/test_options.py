from __future__ import annotations

import pytest

from minikafka.types import IsolationLevel
from minikafka_client.consumer.options import assignors_value, isolation_level_value, start_value
from minikafka_client.consumer.positions import Start


def test_where_to_begin_by_name() -> None:
    assert start_value("earliest") is Start.EARLIEST
    assert start_value("latest") is Start.LATEST
    assert start_value("none") is None


def test_what_of_transactions_to_read_by_name() -> None:
    assert isolation_level_value("read_committed") is IsolationLevel.READ_COMMITTED
    assert isolation_level_value("read_uncommitted") is IsolationLevel.READ_UNCOMMITTED


def test_assignors_come_in_the_order_of_their_names() -> None:
    assert [assignor.name for assignor in assignors_value(["sticky", "range"])] == ["sticky", "range"]


def test_other_names_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="earliest, latest, none, not 'smallest'"):
        start_value("smallest")
    with pytest.raises(ValueError, match="read_uncommitted, read_committed, not 'all'"):
        isolation_level_value("all")
    with pytest.raises(ValueError, match="not 'fair'"):
        assignors_value(["fair"])
