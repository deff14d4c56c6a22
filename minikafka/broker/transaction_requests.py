"""What the handlers of transaction requests have in common."""

from __future__ import annotations

from minikafka.broker.context import RequestContext
from minikafka.errors import ErrorCode, InvalidRequest, KafkaError


def check_transactional_id(transactional_id: str) -> None:
    """Check that a transaction has a name.

    Raises:
        InvalidRequest: It is empty.
    """
    if not transactional_id:
        raise InvalidRequest("the transactional id is empty")


def code_for(error: KafkaError, ctx: RequestContext, *, first_version_with_fenced: int) -> int:
    """The code of an error; clients of old do not know PRODUCER_FENCED, but what it was called before (KIP-588)."""
    if error.code == ErrorCode.PRODUCER_FENCED and ctx.api_version < first_version_with_fenced:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    return error.code
