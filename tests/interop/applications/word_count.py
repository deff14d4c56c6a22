"""A Quix Streams application: counts words, its state split by word.

    python word_count.py BOOTSTRAP STATE_DIR [exactly-once]

Lines come from the topic "lines"; each word and its new count go to "counts", with "exactly-once" in transactions, many
a second.
"""

import sys

from quixstreams import Application, State

address, state_dir, *guarantee = sys.argv[1:]

app = Application(
    broker_address=address,
    consumer_group="word-count",
    auto_offset_reset="earliest",
    state_dir=state_dir,
    **(
        {
            "processing_guarantee": guarantee[0],
            "commit_interval": 0.1,
            "commit_every": 7,
            "producer_extra_config": {"transactional.id": "word-count", "reconnect.backoff.max.ms": 500},
            "consumer_extra_config": {
                "reconnect.backoff.max.ms": 500,
                "session.timeout.ms": 2_000,
                "heartbeat.interval.ms": 200,
            },
        }
        if guarantee
        else {}
    ),
)
lines = app.topic("lines", value_deserializer="str")
counts = app.topic("counts", key_serializer="str", value_serializer="json")


def count(word: str, state: State) -> int:
    """How often the word has come by now."""
    total = state.get("total", default=0) + 1
    state.set("total", total)
    return total


words = app.dataframe(lines).apply(str.split, expand=True)
by_word = words.group_by(lambda word: word, name="word", value_serializer="str", value_deserializer="str")
by_word.apply(count, stateful=True).to_topic(counts)

if __name__ == "__main__":
    app.run()
