"""Records as a producer's batches get them."""

from __future__ import annotations

from minikafka.records.compression import Compression
from minikafka_client.producer.accumulator import PartitionQueue
from minikafka_client.producer.batch import ProducerBatch
from minikafka_client.producer.delivery import Delivery
from minikafka_client.producer.intake import Extras, Records


def sent(count: int, *deliveries: Delivery) -> Records:
    """So many records, sent at 100 ms, 101 ms and so on; the first of them with these deliveries."""
    made = list(deliveries)
    while len(made) < count:
        delivery = Delivery()
        delivery.batch = delivery.callback = None
        made.append(delivery)
    extras: list[Extras | None] = [Extras(None, 100 + number, None, (), 10) for number in range(count)]
    return Records(made, [b"x"] * count, [0.0] * count, extras)


def gathered(count: int, *deliveries: Delivery) -> tuple[ProducerBatch, list[Delivery]]:
    """A batch of such records for orders[2], and their deliveries."""
    batch = ProducerBatch(PartitionQueue("orders", 2, 1_000), Compression.NONE, 0.0)
    records = sent(count, *deliveries)
    batch.add(records, 10 * count)
    return batch, list(records.deliveries)
