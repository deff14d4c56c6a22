"""Transactions: which partitions each writes to, and how it ends in all of them or in none."""
