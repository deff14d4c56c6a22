"""GetTelemetrySubscriptions (API key 71): the metrics that the broker wants from a client (KIP-714).

Source: https://kafka.apache.org/protocol#The_Messages_GetTelemetrySubscriptions
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, INT8, INT16, INT32, STRING, UUID, Message, Request, array, field, message


@message(api_key=71, valid="0", flexible="0+")
class GetTelemetrySubscriptionsRequest(Request["GetTelemetrySubscriptionsResponse"]):
    """The client, with a zero id at first."""

    client_instance_id: bytes = field(UUID)


@message(api_key=71, valid="0", flexible="0+")
class GetTelemetrySubscriptionsResponse(Message):
    """What to push, and how often."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    client_instance_id: bytes = field(UUID)
    subscription_id: int = field(INT32)
    accepted_compression_types: list[int] = array(INT8)
    push_interval_ms: int = field(INT32)
    telemetry_max_bytes: int = field(INT32)
    delta_temporality: bool = field(BOOL)
    requested_metrics: list[str] = array(STRING)  # prefixes of names; none wants none, an empty one wants all
