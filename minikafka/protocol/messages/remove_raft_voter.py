"""RemoveRaftVoter (API key 81): take a voter out of the controllers' quorum (KIP-853).

Source: https://kafka.apache.org/protocol#The_Messages_RemoveRaftVoter
"""

from __future__ import annotations

from minikafka.protocol.schema import INT16, INT32, STRING, UUID, Message, Request, field, message


@message(api_key=81, valid="0", flexible="0+")
class RemoveRaftVoterRequest(Request["RemoveRaftVoterResponse"]):
    """The voter."""

    cluster_id: str | None = field(STRING, nullable="0+")
    voter_id: int = field(INT32)
    voter_directory_id: bytes = field(UUID)


@message(api_key=81, valid="0", flexible="0+")
class RemoveRaftVoterResponse(Message):
    """Whether it is out."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
