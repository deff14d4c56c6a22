"""RemoveRaftVoter (API key 81).

Source: https://kafka.apache.org/protocol#The_Messages_RemoveRaftVoter
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, UUID, Message, Request, field, message


@message(api_key=81, valid="0", flexible="0+")
class RemoveRaftVoterRequest(Request["RemoveRaftVoterResponse"]):
    """Remove raft voter request."""

    cluster_id: str | None = field(STRING, nullable="0+")
    voter_id: int = field(INT32)
    voter_directory_id: bytes = field(UUID)


@message(api_key=81, valid="0", flexible="0+")
class RemoveRaftVoterResponse(Message):
    """Remove raft voter response."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
