"""ApiVersions (API key 18): what this broker serves, asked before anything else is known.

From version 4 on the levels of two features are told.  At ``transaction.version`` 2 clients let partitions join a
transaction by writing to them, and have an epoch for each transaction (KIP-890); ``group.version`` is 1 where groups
can use the consumer protocol (KIP-848).  Clients that know of features ask by version 4; librdkafka before 2.2, which
misreads tagged fields, by version 3.

Source: Kafka, ApiVersionsResponse.java; KIP-511.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from minikafka.broker.context import RequestContext
from minikafka.broker.routes import ROUTES, Route
from minikafka.broker.services import Services
from minikafka.config.group import CONSUMER
from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

FIRST_VERSION_WITH_SOFTWARE = 3
FIRST_VERSION_WITH_FEATURES = 4

SUPPORTED_LEVELS = {"group.version": 1, "transaction.version": 2}
"""Features, and the level up to which each is supported, from 0."""

_FEATURES_EPOCH = 0
"""Levels are those of the program: they do not change while it runs."""

_LEGAL_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


class ApiVersionsHandler:
    """Lists ``routes``, and features with the levels that the broker works at."""

    __slots__ = ("_api_keys", "_finalized_features", "_supported_features")

    def __init__(self, routes: Iterable[Route], levels: Mapping[str, int]) -> None:
        self._api_keys = [_listed(route) for route in routes]
        self._supported_features = [
            SupportedFeatureKey(name=name, min_version=0, max_version=level) for name, level in SUPPORTED_LEVELS.items()
        ]
        self._finalized_features = [
            FinalizedFeatureKey(name=name, max_version_level=level, min_version_level=level)
            for name, level in levels.items()
            if level > 0
        ]

    def __call__(self, request: ApiVersionsRequest, ctx: RequestContext) -> ApiVersionsResponse:
        """Answer ``request``, and remember which software asks."""
        if ctx.api_version >= FIRST_VERSION_WITH_SOFTWARE:
            name, version = request.client_software_name, request.client_software_version
            if not (_LEGAL_SOFTWARE.fullmatch(name) and _LEGAL_SOFTWARE.fullmatch(version)):
                return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST, api_keys=[])
            ctx.connection.client_software_name = name
            ctx.connection.client_software_version = version
        response = ApiVersionsResponse(api_keys=self._api_keys)
        if ctx.api_version >= FIRST_VERSION_WITH_FEATURES:
            response.supported_features = self._supported_features
            response.finalized_features_epoch = _FEATURES_EPOCH
            response.finalized_features = self._finalized_features
        return response


def unsupported_version(routes: Iterable[Route]) -> ApiVersionsResponse:
    """The answer, in v0, to a version that is not known here: which ones are, for the client to try again."""
    known = [_listed(route) for route in routes if route.api_key is ApiKey.API_VERSIONS]
    return ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=known)


def build(services: Services) -> ApiVersionsHandler:
    """The handler, with what it needs of the broker."""
    protocols = services.loaded_config.config.group_coordinator_rebalance_protocols
    return ApiVersionsHandler(ROUTES, {**SUPPORTED_LEVELS, "group.version": int(CONSUMER in protocols)})


def _listed(route: Route) -> ApiVersion:
    return ApiVersion(api_key=route.api_key, min_version=route.first_version, max_version=route.last_version)
