"""The admin."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from minikafka_client.admin.configs import ConfigAdmin
from minikafka_client.admin.group_offsets import GroupOffsetAdmin
from minikafka_client.admin.groups import GroupAdmin
from minikafka_client.admin.log_dirs import LogDirAdmin
from minikafka_client.admin.records import RecordAdmin
from minikafka_client.admin.requests import Requests
from minikafka_client.admin.topics import TopicAdmin
from minikafka_client.admin.transactions import TransactionAdmin
from minikafka_client.backoff import Backoff
from minikafka_client.cluster import ClusterOptions


class AsyncAdmin(TopicAdmin, ConfigAdmin, GroupAdmin, GroupOffsetAdmin, TransactionAdmin, RecordAdmin, LogDirAdmin):
    """Creates, describes, alters and deletes: topics, configurations, groups, their offsets, transactions, records.

    >>> from minikafka_client import AsyncAdmin, NewTopic
    >>> async def prepare(bootstrap_servers: str) -> int:
    ...     async with AsyncAdmin(bootstrap_servers) as admin:
    ...         await admin.create_topics([NewTopic("orders", num_partitions=3)])
    ...         orders = (await admin.describe_topics(["orders"]))["orders"]
    ...         return len(orders.partitions)

    Where several things are asked for and one of them fails, its error is raised; where several fail, an
    ``ExceptionGroup`` of their errors.  Each error names what it is about; the others have been carried out.

    Args:
        bootstrap_servers: ``HOST:PORT`` of a broker, or several with commas between them.
        client_id: How the brokers' logs name this client.
        request_timeout_ms: How long to wait for an answer, and how long a broker may take to carry a request out.
        retry_backoff_ms: The first pause while no broker can take a request; pauses double up to a second.
    """

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        client_id: str = "minikafka-admin",
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 50,
    ) -> None:
        options = ClusterOptions(
            client_id,
            request_timeout_ms=request_timeout_ms,
            allow_auto_create_topics=False,
            backoff=Backoff(retry_backoff_ms),
        )
        super().__init__(Requests(bootstrap_servers, options))

    async def __aenter__(self) -> Self:
        await self._requests.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._requests.close()
