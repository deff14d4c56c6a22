"""Partitions: who leads, how far records are committed, and who waits for that."""
