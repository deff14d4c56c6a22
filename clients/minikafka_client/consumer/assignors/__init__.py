"""Dividing the partitions of a group among its members: done by the member that the coordinator makes the leader.

Source: Kafka, clients/consumer/ConsumerPartitionAssignor.java and its implementations.
"""
