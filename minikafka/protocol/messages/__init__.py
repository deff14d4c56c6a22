"""The messages of the protocol, one module per API, named as Kafka names it.

A module is imported when its API is first used (see :mod:`minikafka.protocol.api_keys`), so that a broker that starts
pays only for what it serves.
"""
