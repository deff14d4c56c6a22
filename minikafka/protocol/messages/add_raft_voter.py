"""AddRaftVoter (API key 80): make a controller a voter of the quorum (KIP-853).

Versions:
    1   ack_when_committed: whether to wait for the other voters

Source: https://kafka.apache.org/protocol#The_Messages_AddRaftVoter
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BOOL,
    INT16,
    INT32,
    STRING,
    UINT16,
    UUID,
    Message,
    Request,
    array,
    field,
    message,
    struct,
)


@struct
class Listener:
    """Where the voter is reached."""

    name: str = field(STRING)
    host: str = field(STRING)
    port: int = field(UINT16)


@message(api_key=80, valid="0-1", flexible="0+")
class AddRaftVoterRequest(Request["AddRaftVoterResponse"]):
    """The new voter."""

    cluster_id: str | None = field(STRING, nullable="0+")
    timeout_ms: int = field(INT32)
    voter_id: int = field(INT32)
    voter_directory_id: bytes = field(UUID)
    listeners: list[Listener] = array(Listener)
    ack_when_committed: bool = field(BOOL, "1+", default=True)


@message(api_key=80, valid="0-1", flexible="0+")
class AddRaftVoterResponse(Message):
    """Whether it is one now."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
