"""DescribeUserScramCredentials (API key 50).

Source: https://kafka.apache.org/protocol#The_Messages_DescribeUserScramCredentials
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class UserName:
    """User name."""

    name: str = field(STRING)


@message(api_key=50, valid="0", flexible="0+")
class DescribeUserScramCredentialsRequest(Request["DescribeUserScramCredentialsResponse"]):
    """Describe user scram credentials request."""

    users: list[UserName] | None = array(UserName, nullable="0+")


@struct
class CredentialInfo:
    """Credential info."""

    mechanism: int = field(INT8)
    iterations: int = field(INT32)


@struct
class DescribeUserScramCredentialsResult:
    """Describe user scram credentials result."""

    user: str = field(STRING)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
    credential_infos: list[CredentialInfo] = array(CredentialInfo)


@message(api_key=50, valid="0", flexible="0+")
class DescribeUserScramCredentialsResponse(Message):
    """Describe user scram credentials response."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")
    results: list[DescribeUserScramCredentialsResult] = array(DescribeUserScramCredentialsResult)
