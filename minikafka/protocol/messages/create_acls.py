"""CreateAcls (API key 30): add access rules.

Versions:
    1   pattern types (KIP-290)
    2   flexible encoding
    3   resources of type user (KIP-373)

Source: https://kafka.apache.org/protocol#The_Messages_CreateAcls
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class AclCreation:
    """A rule to add."""

    resource_type: int = field(INT8)
    resource_name: str = field(STRING)
    resource_pattern_type: int = field(INT8, default=3)  # 3 literal, 4 prefixed
    principal: str = field(STRING)
    host: str = field(STRING)
    operation: int = field(INT8)
    permission_type: int = field(INT8)


@message(api_key=30, valid="1-3", flexible="2+")
class CreateAclsRequest(Request["CreateAclsResponse"]):
    """The rules to add."""

    creations: list[AclCreation] = array(AclCreation)


@struct
class AclCreationResult:
    """What became of one rule."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=30, valid="1-3", flexible="2+")
class CreateAclsResponse(Message):
    """One result per rule."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[AclCreationResult] = array(AclCreationResult)
