"""Membership in a consumer group: who gets which partitions, and how far each has come.

Rebalances happen inside ``poll`` and iteration, between two messages, so that nothing is taken away that is being
worked on.  Heartbeats go on meanwhile.
"""
