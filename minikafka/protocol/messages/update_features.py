"""UpdateFeatures (API key 57): change the levels of features that the cluster works at.

Versions:
    1   validate_only, and upgrade types (KIP-778)
    2   one result for all features (KIP-1022)

Source: https://kafka.apache.org/protocol#The_Messages_UpdateFeatures
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class FeatureUpdateKey:
    """The new level of one feature."""

    feature: str = field(STRING)
    max_version_level: int = field(INT16)
    allow_downgrade: bool = field(BOOL, "0", default=False)
    upgrade_type: int = field(INT8, "1+", default=1)  # 1 upgrade only, 2 safe downgrade, 3 unsafe downgrade


@message(api_key=57, valid="0-2", flexible="0+")
class UpdateFeaturesRequest(Request["UpdateFeaturesResponse"]):
    """The changes to make, or since v1 only to check."""

    timeout_ms: int = field(INT32, default=60000)
    feature_updates: list[FeatureUpdateKey] = array(FeatureUpdateKey)
    validate_only: bool = field(BOOL, "1+", default=False)


@struct
class UpdatableFeatureResult:
    """What became of one feature."""

    feature: str = field(STRING)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=57, valid="0-2", flexible="0+")
class UpdateFeaturesResponse(Message):
    """The result, and up to v1 one per feature."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    results: list[UpdatableFeatureResult] = array(UpdatableFeatureResult, "0-1", default_factory=list, ignorable=True)
