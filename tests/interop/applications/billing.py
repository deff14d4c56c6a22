"""A FastStream application: makes an invoice of every order.

    python billing.py BOOTSTRAP

Orders come from the topic "orders", in the group "billing"; an order is acknowledged when its invoice is sent.
"""

import asyncio
import sys

from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker
from pydantic import BaseModel

(address,) = sys.argv[1:]

broker = KafkaBroker(address)
app = FastStream(broker)


class Order(BaseModel):
    """What is ordered, and how many."""

    number: int
    drink: str
    count: int


class Invoice(BaseModel):
    """What is to be paid."""

    number: int
    cents: int


@broker.subscriber("orders", group_id="billing", auto_offset_reset="earliest", ack_policy=AckPolicy.ACK)
@broker.publisher("invoices")
async def bill(order: Order) -> Invoice:
    """Every drink costs the same here."""
    return Invoice(number=order.number, cents=order.count * 350)


if __name__ == "__main__":
    asyncio.run(app.run())
