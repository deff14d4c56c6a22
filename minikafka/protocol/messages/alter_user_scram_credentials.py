"""AlterUserScramCredentials (API key 51): set or remove SCRAM credentials.

Source: https://kafka.apache.org/protocol#The_Messages_AlterUserScramCredentials
"""

from __future__ import annotations

from minikafka.protocol.schema import (
    BYTES,
    INT8,
    INT16,
    INT32,
    STRING,
    Buffer,
    Message,
    Request,
    array,
    field,
    message,
    struct,
)


@struct
class ScramCredentialDeletion:
    """A credential to remove."""

    name: str = field(STRING)
    mechanism: int = field(INT8)  # 1 SCRAM-SHA-256, 2 SCRAM-SHA-512


@struct
class ScramCredentialUpsertion:
    """A credential to set; the password itself is never sent."""

    name: str = field(STRING)
    mechanism: int = field(INT8)  # 1 SCRAM-SHA-256, 2 SCRAM-SHA-512
    iterations: int = field(INT32)
    salt: Buffer = field(BYTES)
    salted_password: Buffer = field(BYTES)


@message(api_key=51, valid="0", flexible="0+")
class AlterUserScramCredentialsRequest(Request["AlterUserScramCredentialsResponse"]):
    """The credentials to remove and to set."""

    deletions: list[ScramCredentialDeletion] = array(ScramCredentialDeletion)
    upsertions: list[ScramCredentialUpsertion] = array(ScramCredentialUpsertion)


@struct
class AlterUserScramCredentialsResult:
    """What became of one user."""

    user: str = field(STRING)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+", default=None)


@message(api_key=51, valid="0", flexible="0+")
class AlterUserScramCredentialsResponse(Message):
    """One result per user."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[AlterUserScramCredentialsResult] = array(AlterUserScramCredentialsResult)
