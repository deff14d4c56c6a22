"""minikafka: Apache Kafka's wire protocol and log format in one Python process."""

__version__ = "0.1.0"
