"""ApiVersions (API key 18): what a broker speaks; the first request of a connection.

Versions:
    1   throttle_time_ms
    2   throttled requests are answered first and delayed afterwards (KIP-219)
    3   flexible encoding; the client's name and version (KIP-511); features (KIP-584)
    4   supported features may start at version 0 (KAFKA-17011)

A broker answers a version that it does not know with v0 and UNSUPPORTED_VERSION.  The response's header is v0 in every
version, since its reader does not know yet what the broker speaks.

Source: https://kafka.apache.org/protocol#The_Messages_ApiVersions
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT16, INT32, INT64, STRING, Message, Request, array, field, message, struct


@message(api_key=18, valid="0-4", flexible="3+")
class ApiVersionsRequest(Request["ApiVersionsResponse"]):
    """Who asks."""

    client_software_name: str = field(STRING, "3+", default="", ignorable=True)
    client_software_version: str = field(STRING, "3+", default="", ignorable=True)


@struct
class ApiVersion:
    """The versions of one API."""

    api_key: int = field(INT16)
    min_version: int = field(INT16)
    max_version: int = field(INT16)


@struct
class SupportedFeatureKey:
    """The levels of a feature that the broker can work at."""

    name: str = field(STRING)
    min_version: int = field(INT16)
    max_version: int = field(INT16)


@struct
class FinalizedFeatureKey:
    """The levels of a feature that the cluster works at."""

    name: str = field(STRING)
    max_version_level: int = field(INT16)
    min_version_level: int = field(INT16)


@message(api_key=18, valid="0-4", flexible="3+")
class ApiVersionsResponse(Message):
    """Everything that is served."""

    error_code: int = field(INT16, default=0)
    api_keys: list[ApiVersion] = array(ApiVersion)
    throttle_time_ms: int = field(INT32, "1+", default=0, ignorable=True)
    supported_features: list[SupportedFeatureKey] = array(
        SupportedFeatureKey, "3+", default_factory=list, tag=0, ignorable=True
    )
    finalized_features_epoch: int = field(INT64, "3+", default=-1, tag=1, ignorable=True)  # -1 when it is not known
    finalized_features: list[FinalizedFeatureKey] = array(
        FinalizedFeatureKey, "3+", default_factory=list, tag=2, ignorable=True
    )
    zk_migration_ready: bool = field(BOOL, "3+", default=False, tag=3, ignorable=True)
