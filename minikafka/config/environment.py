"""Configuration keys in environment variables: ours, and those of the official Kafka image.

    log.segment.bytes   MINIKAFKA_LOG_SEGMENT_BYTES   in the image also KAFKA_LOG_SEGMENT_BYTES, KAFKA_CFG_...
    a.b_c-d             ..._A_B__C___D                one underscore is '.', two are '_', three are '-'

Source: Kafka, docker/KafkaDockerWrapper.scala; the ``KAFKA_CFG_`` prefix is Bitnami's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

OWN_PREFIX = "MINIKAFKA_"
KAFKA_PREFIX = "KAFKA_"
KAFKA_CFG_PREFIX = "KAFKA_CFG_"
IMAGE_VARIABLE = "MINIKAFKA_IMAGE"

_NOT_SETTINGS = {
    IMAGE_VARIABLE,
    "MINIKAFKA_FAILPOINT",
    "KAFKA_BOOTSTRAP_SERVERS",
    "KAFKA_CLUSTER_ID",
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_KRAFT_CLUSTER_ID",
    "KAFKA_LOG",
    "KAFKA_OPTS",
    "KAFKA_VERSION",
}
_LOG4J = "KAFKA_LOG4J"
# Kubernetes and Docker links set these for every service; one named "kafka" or "minikafka" is likely here.
_SERVICE_LINK = re.compile(r"(?:MINI)?KAFKA_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT|PORT_\d+_(?:TCP|UDP)\w*|NAME)")
_UNDERSCORES = re.compile(r"_+")
_MEANING = {"_": ".", "__": "_", "___": "-"}


class Variable(NamedTuple):
    """An environment variable that is meant as a setting."""

    name: str
    key: str
    value: str
    is_ours: bool


def key_of_variable(name: str, prefix: str) -> str:
    """The configuration key that the variable ``name`` stands for."""
    rest = name.removeprefix(prefix).lower()
    return _UNDERSCORES.sub(lambda match: _MEANING.get(match[0], match[0]), rest)


def settings_in(environ: Mapping[str, str]) -> Iterator[Variable]:
    """The variables that are settings, the weakest first: ``KAFKA_CFG_*``, ``KAFKA_*``, ``MINIKAFKA_*``.

    Kafka's own names count only in the image, which says so by ``MINIKAFKA_IMAGE``: on a developer's machine they
    are more likely to be meant for another broker.
    """
    if environ.get(IMAGE_VARIABLE):
        names = [name for name in environ if name.startswith(KAFKA_PREFIX) and not _is_other(name)]
        yield from (_kafka_variable(name, environ) for name in names if name.startswith(KAFKA_CFG_PREFIX))
        yield from (_kafka_variable(name, environ) for name in names if not name.startswith(KAFKA_CFG_PREFIX))
        if "CLUSTER_ID" in environ:
            yield Variable("CLUSTER_ID", "minikafka.cluster.id", environ["CLUSTER_ID"], is_ours=True)
    for name, value in environ.items():
        if name.startswith(OWN_PREFIX) and not _is_other(name):
            yield Variable(name, key_of_variable(name, OWN_PREFIX), value, is_ours=True)


def _kafka_variable(name: str, environ: Mapping[str, str]) -> Variable:
    prefix = KAFKA_CFG_PREFIX if name.startswith(KAFKA_CFG_PREFIX) else KAFKA_PREFIX
    return Variable(name, key_of_variable(name, prefix), environ[name], is_ours=False)


def _is_other(name: str) -> bool:
    return name in _NOT_SETTINGS or name.startswith(_LOG4J) or _SERVICE_LINK.fullmatch(name) is not None
