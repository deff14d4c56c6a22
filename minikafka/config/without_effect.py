"""Kafka's keys that are taken, so that a Kafka broker's settings can be used as they are, but that change nothing.

What would change who may see or do something (``ssl.*``, ``sasl.*``, ``authorizer.*``, quotas) is not here: to take
such a key and not act on it would be a lie.
"""

from __future__ import annotations

_ONE_LOOP = "one event loop serves every connection"
_KERNEL = "the kernel sizes socket buffers"
_NO_KRAFT = "there is no KRaft quorum"
_NO_SHARE_GROUPS = "this broker coordinates no share groups"
_NO_LINGER = "what waits for the same flush shares it, however long that takes"
_ONE_BROKER = "replicas on other brokers are not fetched"
_NO_TIERS = "there is no tiered storage"
_NO_JMX = "metrics are not reported through JMX"

WITHOUT_EFFECT = {
    "num.network.threads": _ONE_LOOP,
    "num.io.threads": _ONE_LOOP,
    "queued.max.requests": _ONE_LOOP,
    "num.recovery.threads.per.data.dir": "logs are opened one after another",
    "socket.send.buffer.bytes": _KERNEL,
    "socket.receive.buffer.bytes": _KERNEL,
    "process.roles": _NO_KRAFT,
    "controller.quorum.voters": _NO_KRAFT,
    "controller.quorum.bootstrap.servers": _NO_KRAFT,
    "metadata.log.dir": _NO_KRAFT,
    "inter.broker.listener.name": _ONE_BROKER,
    "security.inter.broker.protocol": _ONE_BROKER,
    "replica.lag.time.max.ms": _ONE_BROKER,
    "replica.fetch.max.bytes": _ONE_BROKER,
    "num.replica.fetchers": _ONE_BROKER,
    "auto.leader.rebalance.enable": _ONE_BROKER,
    "broker.rack": _ONE_BROKER,
    "zookeeper.connect": "the cluster's state is kept in the data directory",
    "zookeeper.connection.timeout.ms": "the cluster's state is kept in the data directory",
    "group.coordinator.threads": _ONE_LOOP,
    "group.coordinator.append.linger.ms": _NO_LINGER,
    "group.coordinator.new.enable": "there is one group coordinator",
    "share.coordinator.state.topic.min.isr": _NO_SHARE_GROUPS,
    "share.coordinator.state.topic.replication.factor": _NO_SHARE_GROUPS,
    "transaction.partition.verification.enable": "partitions are always verified",
    "log.cleaner.threads": "one thread compacts",
    "log.cleaner.io.buffer.load.factor": "the table of keys grows as it is filled",
    "log.flush.start.offset.checkpoint.interval.ms": "log start offsets are written down when they change",
    "log.message.format.version": "there is one message format",
    "inter.broker.protocol.version": "there is one protocol version",
    "controlled.shutdown.enable": "a broker always ends its work before it stops",
    "reserved.broker.max.id": "every broker id is given by hand",
    "metric.reporters": _NO_JMX,
    "confluent.support.metrics.enable": _NO_JMX,
}
"""Key to the reason why it has no effect."""

ONLY_DESCRIBED = {
    "log.segment.delete.delay.ms": "the files of deleted segments go at once",
    "log.preallocate": "segments grow as they are written",
    "log.local.retention.ms": _NO_TIERS,
    "log.local.retention.bytes": _NO_TIERS,
    "unclean.leader.election.enable": _ONE_BROKER,
    "group.consumer.regex.refresh.interval.ms": "expressions are matched again whenever a topic comes or goes",
}
"""Keys of :class:`~minikafka.config.broker.BrokerConfig` that change nothing yet, to the reason.

They are checked and described as Kafka's are, since a topic's settings take their defaults from them.
"""

ALIASES = {"broker.id": "node.id", "log.dir": "log.dirs"}
"""Kafka's older names of keys; the newer name wins where both are given."""
