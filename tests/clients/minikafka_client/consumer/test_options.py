from __future__ import annotations

import pytest

from minikafka_client.consumer.options import start_value
from minikafka_client.consumer.positions import Start


def test_where_to_begin_by_name() -> None:
    assert start_value("earliest") is Start.EARLIEST
    assert start_value("latest") is Start.LATEST
    assert start_value("none") is None


def test_other_names_are_refused() -> None:
    with pytest.raises(ValueError, match="earliest, latest, none"):
        start_value("smallest")
