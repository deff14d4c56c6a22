"""DescribeUserScramCredentials (API key 50): which SCRAM credentials users have, without secrets.

Source: https://kafka.apache.org/protocol#The_Messages_DescribeUserScramCredentials
"""

from __future__ import annotations

from minikafka.protocol.schema import INT8, INT16, INT32, STRING, Message, Request, array, field, message, struct


@struct
class UserName:
    """A user."""

    name: str = field(STRING)


@message(api_key=50, valid="0", flexible="0+")
class DescribeUserScramCredentialsRequest(Request["DescribeUserScramCredentialsResponse"]):
    """The users; null or none asks for all."""

    users: list[UserName] | None = array(UserName, nullable="0+")


@struct
class CredentialInfo:
    """One credential."""

    mechanism: int = field(INT8)  # 1 SCRAM-SHA-256, 2 SCRAM-SHA-512
    iterations: int = field(INT32)


@struct
class DescribeUserScramCredentialsResult:
    """The credentials of one user."""

    user: str = field(STRING)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    credential_infos: list[CredentialInfo] = array(CredentialInfo)


@message(api_key=50, valid="0", flexible="0+")
class DescribeUserScramCredentialsResponse(Message):
    """One result per user."""

    throttle_time_ms: int = field(INT32, default=0)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)
    results: list[DescribeUserScramCredentialsResult] = array(DescribeUserScramCredentialsResult)
