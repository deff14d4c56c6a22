from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from minikafka.broker.context import RequestContext
from minikafka.broker.handlers.api_versions import SUPPORTED_LEVELS, ApiVersionsHandler, unsupported_version
from minikafka.broker.routes import ROUTES
from minikafka.errors import ErrorCode
from minikafka.net.handler import Address, ConnectionInfo
from minikafka.protocol.api_keys import ApiKey, request_class
from minikafka.protocol.codec import decode, encode
from minikafka.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from tests.support.broker import running_broker
from tests.support.control_plane import administering

Range = tuple[int, int]

# Exactly these versions must lie within the offered ranges for librdkafka before 2.11.1 to use the feature behind.
NEEDED_BY_OLD_LIBRDKAFKA = {
    ApiKey.PRODUCE: [0, 3, 7],
    ApiKey.FETCH: [4, 10],
    ApiKey.API_VERSIONS: [0],
    ApiKey.FIND_COORDINATOR: [0],
    ApiKey.LIST_OFFSETS: [1],
    ApiKey.INIT_PRODUCER_ID: [0],
    ApiKey.OFFSET_FOR_LEADER_EPOCH: [2],
}


def ask(
    version: int, name: str = "", software_version: str = "", levels: Mapping[str, int] = SUPPORTED_LEVELS
) -> tuple[ApiVersionsResponse, ConnectionInfo]:
    connection = ConnectionInfo(1, Address("h", 1), Address("h", 2), "PLAINTEXT")
    ctx = RequestContext(connection, version, "client", 1, received_at=0.0)
    request = ApiVersionsRequest(client_software_name=name, client_software_version=software_version)
    return ApiVersionsHandler(ROUTES, levels)(request, ctx), connection


def ranges(response: ApiVersionsResponse) -> dict[int, Range]:
    return {api.api_key: (api.min_version, api.max_version) for api in response.api_keys}


@pytest.mark.parametrize("version", range(5))
def test_every_version_lists_every_route(version: int) -> None:
    response, _ = ask(version, "apache-kafka-java", "4.3.0")
    out = bytearray()
    encode(response, version, out)
    told = decode(ApiVersionsResponse, version, out)
    assert told.error_code == ErrorCode.NONE
    assert ranges(told) == {route.api_key: (route.first_version, route.last_version) for route in ROUTES}


def test_no_range_is_empty() -> None:
    assert all(low <= high for low, high in ranges(ask(0)[0]).values())


def test_what_old_librdkafka_looks_for_is_there() -> None:
    told = ranges(ask(0)[0])
    for api_key, versions in NEEDED_BY_OLD_LIBRDKAFKA.items():
        assert all(told[api_key][0] <= version <= told[api_key][1] for version in versions)


def test_every_version_that_is_told_has_messages_except_the_oldest_produce() -> None:
    for route in ROUTES:
        assert request_class(route.api_key).VALID[0] <= route.first_parsed
        assert route.last_version <= request_class(route.api_key).VALID[-1]
        if route.api_key is not ApiKey.PRODUCE:
            assert route.first_parsed == route.first_version


def test_there_is_no_tagged_field_that_old_readers_could_trip_over() -> None:
    out = bytearray()
    encode(ask(3, "librdkafka", "2.0.2")[0], 3, out)
    assert out[-1] == 0


@pytest.mark.parametrize("group_version", [0, 1])
def test_clients_of_today_are_told_the_levels_of_features_that_the_broker_works_at(group_version: int) -> None:
    levels = {"transaction.version": 2, "group.version": group_version}
    out = bytearray()
    encode(ask(4, "apache-kafka-java", "4.3.0", levels)[0], 4, out)
    told = decode(ApiVersionsResponse, 4, out)
    assert told.finalized_features_epoch >= 0
    supported = {found.name: (found.min_version, found.max_version) for found in told.supported_features}
    assert supported == {"transaction.version": (0, 2), "group.version": (0, 1)}
    finalized = {found.name: (found.min_version_level, found.max_version_level) for found in told.finalized_features}
    assert finalized == {name: (level, level) for name, level in levels.items() if level > 0}


@pytest.mark.parametrize(("protocols", "group_version"), [("classic", None), ("classic,consumer", 1)])
async def test_groups_are_at_the_level_that_the_configuration_lets_them_use(
    tmp_path: Path, protocols: str, group_version: int | None
) -> None:
    setting = f"group.coordinator.rebalance.protocols={protocols}"
    async with running_broker(tmp_path / "data", setting) as broker, administering(broker) as client:
        request = ApiVersionsRequest(client_software_name="test", client_software_version="1")
        told = await client.ask(request, 4)
        levels = {found.name: found.max_version_level for found in told.finalized_features}
        assert (levels.get("group.version"), levels["transaction.version"]) == (group_version, 2)


@pytest.mark.parametrize("name", ["librdkafka", "a", "apache-kafka-java", "x.y-z", "9"])
def test_the_software_of_a_client_is_remembered(name: str) -> None:
    _, connection = ask(3, name, "1.0.0-SNAPSHOT")
    assert (connection.client_software_name, connection.client_software_version) == (name, "1.0.0-SNAPSHOT")


@pytest.mark.parametrize("bad", ["", " ", "-a", "a-", ".a", "a b", "a_b", "ü", "a\n", "\x1b[31m"])
@pytest.mark.parametrize("version", [3, 4])
def test_illegal_names_and_versions_of_software_are_refused(version: int, bad: str) -> None:
    for name, software_version in ((bad, "1"), ("a", bad)):
        response, connection = ask(version, name, software_version)
        assert response.error_code == ErrorCode.INVALID_REQUEST
        assert response.api_keys == []
        assert connection.client_software_name == ""


@pytest.mark.parametrize("version", [0, 1, 2])
def test_versions_without_software_need_none(version: int) -> None:
    assert ask(version)[0].error_code == ErrorCode.NONE


def test_an_unknown_version_is_told_the_known_ones() -> None:
    response = unsupported_version(ROUTES)
    assert response.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert ranges(response) == {ApiKey.API_VERSIONS: (0, 4)}
