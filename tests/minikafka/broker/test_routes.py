from __future__ import annotations

import pytest

from minikafka.broker.routes import ROUTES, Route
from minikafka.protocol.api_keys import ApiKey


def test_no_api_is_routed_twice() -> None:
    assert len({route.api_key for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.api_key.name)
def test_versions_are_offered_in_order(route: Route) -> None:
    assert 0 <= route.first_version <= route.first_parsed <= route.last_version


def test_a_version_that_is_only_offered_is_not_served() -> None:
    (produce,) = (route for route in ROUTES if route.api_key is ApiKey.PRODUCE)
    assert [version for version in range(-1, 16) if produce.serves(version)] == list(range(3, 14))


def test_a_handler_is_found_by_the_name_of_its_api() -> None:
    route = Route(ApiKey.LIST_OFFSETS, 1, 11, 1)
    assert route.handler_module == "minikafka.broker.handlers.list_offsets"
