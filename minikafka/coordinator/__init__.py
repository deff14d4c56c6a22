"""Who looks after groups: their members, their generations, and how far they came.

The state of a group is made by records in a partition of ``__consumer_offsets``; the broker that leads the partition
coordinates the group.  State machines know neither sockets nor disks: they are handed the time, and hand back what is
to be written and who is to be answered.
"""
