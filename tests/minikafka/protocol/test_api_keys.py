from __future__ import annotations

import subprocess
import sys

import pytest

from minikafka.protocol.api_keys import FLEXIBLE_FROM, ApiKey, is_flexible, request_class, response_class
from minikafka.protocol.schema import Request
from tests.wire.values import all_messages

WITHOUT_MESSAGES = {4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, *range(82, 88)}


def test_keys_are_kafkas_numbers() -> None:
    assert [int(key) for key in ApiKey] == list(range(93))
    assert (ApiKey.PRODUCE, ApiKey.API_VERSIONS, ApiKey.DELETE_SHARE_GROUP_OFFSETS) == (0, 18, 92)


@pytest.mark.parametrize("key", [key for key in ApiKey if key not in WITHOUT_MESSAGES])
def test_every_client_facing_api_has_its_messages(key: ApiKey) -> None:
    request, response = request_class(key), response_class(key)

    assert request.__name__.removesuffix("Request") == response.__name__.removesuffix("Response")
    assert request.API_KEY == response.API_KEY == key
    assert request.VALID == response.VALID
    assert issubclass(request, Request)


@pytest.mark.parametrize("key", [*sorted(WITHOUT_MESSAGES), -1, 93, 0x7FFF])
def test_other_keys_have_none(key: int) -> None:
    with pytest.raises(LookupError, match=f"no messages for API key {key}"):
        request_class(key)
    with pytest.raises(LookupError):
        response_class(key)


def test_headers_and_messages_agree_on_what_is_flexible() -> None:
    for cls in all_messages():
        if cls.API_KEY >= 0:
            for version in cls.VALID:
                assert is_flexible(cls.API_KEY, version) == (version in cls.FLEXIBLE), (cls, version)


def test_only_apis_that_exist_are_flexible() -> None:
    assert set(FLEXIBLE_FROM) <= set(ApiKey)
    assert not is_flexible(1000, 1000)


def test_one_message_does_not_import_the_others() -> None:
    code = (
        "import sys; from minikafka.protocol.api_keys import request_class; request_class(18);"
        "print(*(name for name in sys.modules if name.startswith('minikafka.protocol.messages.')))"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert printed.split() == ["minikafka.protocol.messages.api_versions"]
