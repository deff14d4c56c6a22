"""The commit log: partitions as directories of segments, in Kafka's layout on disk.

Synchronous: it owns no thread and no event loop, and touches files only through :mod:`minikafka.storage.fs`.
"""
