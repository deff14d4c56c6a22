"""PushTelemetry (API key 72): a client's metrics (KIP-714).

Source: https://kafka.apache.org/protocol#The_Messages_PushTelemetry
"""

from __future__ import annotations

from minikafka.protocol.schema import BOOL, BYTES, INT8, INT16, INT32, UUID, Buffer, Message, Request, field, message


@message(api_key=72, valid="0", flexible="0+")
class PushTelemetryRequest(Request["PushTelemetryResponse"]):
    """The metrics, as OpenTelemetry encodes them, perhaps compressed."""

    client_instance_id: bytes = field(UUID)
    subscription_id: int = field(INT32)
    terminating: bool = field(BOOL)
    compression_type: int = field(INT8)
    metrics: Buffer = field(BYTES)


@message(api_key=72, valid="0", flexible="0+")
class PushTelemetryResponse(Message):
    """Whether they were taken."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
