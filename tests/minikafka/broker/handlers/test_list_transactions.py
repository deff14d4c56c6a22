"""ListTransactions over the wire."""

from __future__ import annotations

from typing import Any

import pytest

from minikafka.errors import ErrorCode
from minikafka.protocol.api_keys import ApiKey
from minikafka.protocol.messages.list_transactions import ListTransactionsRequest, ListTransactionsResponse
from tests.support.control_plane import versions_of
from tests.support.transaction_client import TransactionClient

VERSIONS = versions_of(ApiKey.LIST_TRANSACTIONS)


async def listed(client: TransactionClient, version: int = 2, **filters: Any) -> ListTransactionsResponse:
    request = ListTransactionsRequest(**{"state_filters": [], "producer_id_filters": [], **filters})
    answer = await client.ask(request, version)
    answer.transaction_states.sort(key=lambda one: one.transactional_id)
    return answer


async def names(client: TransactionClient, version: int = 2, **filters: Any) -> list[str]:
    answer = await listed(client, version, **filters)
    assert answer.error_code == 0
    return [one.transactional_id for one in answer.transaction_states]


@pytest.mark.parametrize("version", VERSIONS)
async def test_ids_are_listed_with_their_producer_and_state(transactional: TransactionClient, version: int) -> None:
    assert await names(transactional, version) == []
    first, second = await transactional.begin("a"), await transactional.begin("b")
    await transactional.add_partitions("b", second, "orders", 0)
    answer = await listed(transactional, version)
    assert [(one.transactional_id, one.producer_id, one.transaction_state) for one in answer.transaction_states] == [
        ("a", first.producer_id, "Empty"),
        ("b", second.producer_id, "Ongoing"),
    ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_states_and_producers_are_filtered(transactional: TransactionClient, version: int) -> None:
    first, second = await transactional.begin("a"), await transactional.begin("b")
    await transactional.add_partitions("b", second, "orders", 0)
    assert await names(transactional, version, state_filters=["Ongoing"]) == ["b"]
    assert await names(transactional, version, producer_id_filters=[first.producer_id]) == ["a"]
    answer = await listed(transactional, version, state_filters=["Empty", "Sleeping"])
    assert answer.unknown_state_filters == ["Sleeping"]
    assert [one.transactional_id for one in answer.transaction_states] == ["a"]
    assert await names(transactional, version, state_filters=["Sleeping"]) == []


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 1])
async def test_only_those_that_run_for_long_are_listed(transactional: TransactionClient, version: int) -> None:
    producer = await transactional.begin("a")
    await transactional.add_partitions("a", producer, "orders", 0)
    assert await names(transactional, version, duration_filter=3_600_000) == []
    assert await names(transactional, version, duration_filter=-1) == ["a"]


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 2])
async def test_ids_that_match_a_pattern_as_a_whole_are_listed(transactional: TransactionClient, version: int) -> None:
    for name in ("pay-1", "pay-22", "x-pay-1"):
        await transactional.begin(name)
    assert await names(transactional, version, transactional_id_pattern="pay-[0-9]+") == ["pay-1", "pay-22"]
    assert len(await names(transactional, version, transactional_id_pattern="")) == 3
    broken = await listed(transactional, version, transactional_id_pattern="pay-[")
    assert broken.error_code == ErrorCode.INVALID_REGULAR_EXPRESSION
