"""CreateAcls (API key 30).

Source: https://kafka.apache.org/protocol#The_Messages_CreateAcls
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class AclCreation:
    """Acl creation."""

    resource_type: int = field(INT8)
    resource_name: str = field(STRING)
    resource_pattern_type: int = field(INT8, default=3)
    principal: str = field(STRING)
    host: str = field(STRING)
    operation: int = field(INT8)
    permission_type: int = field(INT8)


@message(api_key=30, valid="1-3", flexible="2+")
class CreateAclsRequest(Request["CreateAclsResponse"]):
    """Create acls request."""

    creations: list[AclCreation] = array(AclCreation)


@struct
class AclCreationResult:
    """Acl creation result."""

    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")


@message(api_key=30, valid="1-3", flexible="2+")
class CreateAclsResponse(Message):
    """Create acls response."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[AclCreationResult] = array(AclCreationResult)
