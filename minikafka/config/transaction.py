"""The keys of a broker that concern transactions.

Source: Kafka, coordinator/transaction/TransactionLogConfig.java, TransactionStateManagerConfig.java.
"""

from __future__ import annotations

from dataclasses import dataclass

from minikafka.config.definition import ConfigType, at_least, key
from minikafka.config.group import GroupConfig

_INT = ConfigType.INT


@dataclass(frozen=True, slots=True, eq=False, repr=False)  # BrokerConfig makes its own
class TransactionConfig(GroupConfig):
    """The settings of transactions, beside those of groups."""

    transaction_max_timeout_ms: int = key(
        _INT, 900_000, "How long clients may have their transactions take, in milliseconds.", validator=at_least(1)
    )
    transactional_id_expiration_ms: int = key(
        _INT,
        604_800_000,
        "How long a transactional id is remembered that begins no transaction, in milliseconds.",
        validator=at_least(1),
    )
    transaction_state_log_num_partitions: int = key(
        _INT,
        50,
        "How many partitions __transaction_state is made with; later changes would lose the transactions.",
        validator=at_least(1),
    )
    transaction_state_log_replication_factor: int = key(
        ConfigType.SHORT,
        1,
        "How many replicas the partitions of __transaction_state get.",
        validator=at_least(1),
        kafka_default="3",
    )
    transaction_state_log_min_isr: int = key(
        _INT,
        2,
        "How many replicas of __transaction_state have to be in sync for it to be written to, or all if it has fewer.",
        validator=at_least(1),
    )
    transaction_state_log_segment_bytes: int = key(
        _INT, 104_857_600, "The segment size of __transaction_state, in bytes.", validator=at_least(1)
    )
    transaction_state_log_load_buffer_size: int = key(
        _INT,
        5_242_880,
        "How many bytes of __transaction_state are read at a time when transactions are loaded.",
        validator=at_least(1),
    )
    transaction_abort_timed_out_transaction_cleanup_interval_ms: int = key(
        _INT,
        10_000,
        "How often it is made sure that transactions that end, or whose time is up, are looked after, in milliseconds.",
        validator=at_least(1),
    )
    transaction_remove_expired_transaction_cleanup_interval_ms: int = key(
        _INT,
        3_600_000,
        "How often it is looked for transactional ids to forget, in milliseconds.",
        validator=at_least(1),
    )

    producer_id_expiration_ms: int = key(
        _INT,
        86_400_000,
        "How long a partition remembers a producer that writes nothing, in milliseconds.",
        validator=at_least(1),
    )
    producer_id_expiration_check_interval_ms: int = key(
        _INT, 600_000, "How often it is looked for producers to forget, in milliseconds.", validator=at_least(1)
    )

    def transaction_topic_settings(self) -> dict[str, str]:
        """The settings that ``__transaction_state`` is made with."""
        return {
            "cleanup.policy": "compact",
            "compression.type": "uncompressed",
            "min.insync.replicas": str(self.transaction_state_log_min_isr),
            "segment.bytes": str(self.transaction_state_log_segment_bytes),
            "unclean.leader.election.enable": "false",
        }
