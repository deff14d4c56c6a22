"""Which resource a request to describe or alter is about."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from minikafka.broker.configs import ResourceOutcome, alter_each, named_broker
from minikafka.errors import ErrorCode, InvalidConfig, InvalidRequest


@dataclass
class Resource:
    resource_type: int
    resource_name: str


def test_no_name_is_every_broker_and_a_number_is_this_one() -> None:
    assert named_broker("", 7) is None
    assert named_broker("7", 7) == 7
    assert named_broker("007", 7) == 7


@pytest.mark.parametrize("name", ["8", "seven", "-7", "+7", " 7", "7 ", "7.0", "\u0667", "7" * 5000, "../7", "\0"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        named_broker(name, 7)
    assert len(str(refused.value)) < 300


async def test_a_failure_is_that_of_its_resource_alone() -> None:
    altered: list[str] = []

    async def alter(resource: Resource) -> None:
        if resource.resource_name == "bad":
            raise InvalidConfig("no")
        altered.append(resource.resource_name)

    outcomes = await alter_each([Resource(2, name) for name in ("a", "bad", "b")], alter)
    assert outcomes == [
        ResourceOutcome(2, "a", 0, None),
        ResourceOutcome(2, "bad", ErrorCode.INVALID_CONFIG, "no"),
        ResourceOutcome(2, "b", 0, None),
    ]
    assert altered == ["a", "b"]


async def test_a_resource_listed_twice_is_refused_each_time_and_never_altered() -> None:
    altered: list[Resource] = []

    async def alter(resource: Resource) -> None:
        altered.append(resource)

    outcomes = await alter_each([Resource(2, "a"), Resource(4, "a"), Resource(2, "a")], alter)
    assert [outcome.error_code for outcome in outcomes] == [ErrorCode.INVALID_REQUEST, 0, ErrorCode.INVALID_REQUEST]
    assert altered == [Resource(4, "a")]
