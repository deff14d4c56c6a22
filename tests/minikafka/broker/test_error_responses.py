from __future__ import annotations

import pytest

from minikafka.broker.error_responses import error_response
from minikafka.broker.routes import ROUTES, Route
from minikafka.errors import ErrorCode, InvalidRequest
from minikafka.protocol.api_keys import ApiKey, response_class
from minikafka.protocol.codec import decode, encode
from minikafka.protocol.messages.find_coordinator import FindCoordinatorResponse
from minikafka.protocol.messages.metadata import MetadataResponse

ANSWERED = [(route, version) for route in ROUTES for version in range(route.first_parsed, route.last_version + 1)]


@pytest.mark.parametrize(("route", "version"), ANSWERED, ids=lambda value: getattr(value, "api_key", value))
def test_what_is_answered_can_be_encoded_and_holds_the_error(route: Route, version: int) -> None:
    response = response_class(route.api_key)
    answer = error_response(response, version, InvalidRequest("no"))
    if answer is None:
        return
    encoded = bytearray()
    encode(answer, version, encoded)
    assert getattr(decode(response, version, encoded), "error_code") == ErrorCode.INVALID_REQUEST  # noqa: B009


def test_a_version_without_a_place_for_the_error_has_no_answer() -> None:
    assert error_response(MetadataResponse, 12, InvalidRequest("no")) is None
    assert error_response(MetadataResponse, 13, InvalidRequest("no")) is not None
    assert error_response(response_class(ApiKey.PRODUCE), 9, InvalidRequest("no")) is None


def test_the_text_of_a_kafka_error_reaches_the_client_and_that_of_a_fault_does_not() -> None:
    known = error_response(FindCoordinatorResponse, 1, InvalidRequest("say it"))
    fault = error_response(FindCoordinatorResponse, 1, RuntimeError("secret"))
    assert isinstance(known, FindCoordinatorResponse)
    assert isinstance(fault, FindCoordinatorResponse)
    assert (known.error_code, known.error_message) == (ErrorCode.INVALID_REQUEST, "say it")
    assert fault.error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert not fault.error_message
