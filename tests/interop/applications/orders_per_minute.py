"""A Quix Streams application: counts the orders of each table in each minute.

    python orders_per_minute.py BOOTSTRAP STATE_DIR

Orders come from the topic "orders", their keys are tables; when a minute is over, its count goes to "minutes".
"""

import sys

from quixstreams import Application

address, state_dir = sys.argv[1:]

app = Application(
    broker_address=address, consumer_group="orders-per-minute", auto_offset_reset="earliest", state_dir=state_dir
)
orders = app.topic("orders", key_deserializer="str", value_deserializer="str")
minutes = app.topic("minutes", key_serializer="str", value_serializer="json")

app.dataframe(orders).tumbling_window(duration_ms=60_000).count().final().to_topic(minutes)

if __name__ == "__main__":
    app.run()
