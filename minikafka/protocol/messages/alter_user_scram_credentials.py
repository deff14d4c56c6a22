"""AlterUserScramCredentials (API key 51).

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
    """Scram credential deletion."""

    name: str = field(STRING)
    mechanism: int = field(INT8)


@struct
class ScramCredentialUpsertion:
    """Scram credential upsertion."""

    name: str = field(STRING)
    mechanism: int = field(INT8)
    iterations: int = field(INT32)
    salt: Buffer = field(BYTES)
    salted_password: Buffer = field(BYTES)


@message(api_key=51, valid="0", flexible="0+")
class AlterUserScramCredentialsRequest(Request["AlterUserScramCredentialsResponse"]):
    """Alter user scram credentials request."""

    deletions: list[ScramCredentialDeletion] = array(ScramCredentialDeletion)
    upsertions: list[ScramCredentialUpsertion] = array(ScramCredentialUpsertion)


@struct
class AlterUserScramCredentialsResult:
    """Alter user scram credentials result."""

    user: str = field(STRING)
    error_code: int = field(INT16, default=0)
    error_message: str | None = field(STRING, nullable="0+")


@message(api_key=51, valid="0", flexible="0+")
class AlterUserScramCredentialsResponse(Message):
    """Alter user scram credentials response."""

    throttle_time_ms: int = field(INT32, default=0)
    results: list[AlterUserScramCredentialsResult] = array(AlterUserScramCredentialsResult)
