"""ApiVersions (API key 18): what this broker serves, asked before anything else is known.

From version 4 on the level of the one feature is told that clients have to know, ``transaction.version``: at 2 they
let partitions join a transaction by writing to them, and have an epoch for each transaction (KIP-890).  Clients that
know of that ask by version 4; librdkafka before 2.2, which misreads tagged fields, by version 3.

Source: Kafka, ApiVersionsResponse.java; KIP-511.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from minikafka.broker.context import RequestContext
from minikafka.broker.routes import ROUTES, Route
from minikafka.broker.services import Services
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

TRANSACTION_VERSION = "transaction.version"
TRANSACTION_VERSION_LEVEL = 2

_FEATURES_EPOCH = 0
"""Levels are those of the program: they do not change while it runs."""

_LEGAL_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


class ApiVersionsHandler:
    """Lists ``routes``."""

    __slots__ = ("_api_keys",)

    def __init__(self, routes: Iterable[Route]) -> None:
        self._api_keys = [_listed(route) for route in routes]

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
            level = TRANSACTION_VERSION_LEVEL
            response.supported_features = [
                SupportedFeatureKey(name=TRANSACTION_VERSION, min_version=0, max_version=level)
            ]
            response.finalized_features_epoch = _FEATURES_EPOCH
            response.finalized_features = [
                FinalizedFeatureKey(name=TRANSACTION_VERSION, max_version_level=level, min_version_level=level)
            ]
        return response


def unsupported_version(routes: Iterable[Route]) -> ApiVersionsResponse:
    """The answer, in v0, to a version that is not known here: which ones are, for the client to try again."""
    known = [_listed(route) for route in routes if route.api_key is ApiKey.API_VERSIONS]
    return ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=known)


def build(services: Services) -> ApiVersionsHandler:  # noqa: D103 - see the package
    return ApiVersionsHandler(ROUTES)


def _listed(route: Route) -> ApiVersion:
    return ApiVersion(api_key=route.api_key, min_version=route.first_version, max_version=route.last_version)
