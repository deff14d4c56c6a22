"""The operations that an access rule can name, and the bit field that tells a client which of them it may do.

Source: Kafka, clients/common/acl/AclOperation.java (the numbers), security/authorizer/AclEntry.java (which apply).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class AclOperation(IntEnum):
    """What a principal may be allowed to do to a resource."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


def operation_bits(operations: Iterable[AclOperation]) -> int:
    """The bit field of ``operations``: bit n stands for the operation numbered n."""
    return sum(1 << operation for operation in set(operations))


NOT_ASKED = -(2**31)
"""What a response says to a client that did not ask which operations it may do."""

TOPIC_OPERATIONS = operation_bits(
    {
        AclOperation.READ,
        AclOperation.WRITE,
        AclOperation.CREATE,
        AclOperation.DESCRIBE,
        AclOperation.DELETE,
        AclOperation.ALTER,
        AclOperation.DESCRIBE_CONFIGS,
        AclOperation.ALTER_CONFIGS,
    }
)
"""Everything that can be done to a topic: what Kafka answers while no access rules are in force."""

CLUSTER_OPERATIONS = operation_bits(
    {
        AclOperation.CREATE,
        AclOperation.CLUSTER_ACTION,
        AclOperation.DESCRIBE_CONFIGS,
        AclOperation.ALTER_CONFIGS,
        AclOperation.IDEMPOTENT_WRITE,
        AclOperation.ALTER,
        AclOperation.DESCRIBE,
    }
)
"""Everything that can be done to the cluster."""

GROUP_OPERATIONS = operation_bits(
    {
        AclOperation.READ,
        AclOperation.DESCRIBE,
        AclOperation.DELETE,
        AclOperation.DESCRIBE_CONFIGS,
        AclOperation.ALTER_CONFIGS,
    }
)
"""Everything that can be done to a group."""
