"""Sending records: from ``send`` over batches to requests.

Whoever sends leaves a record in the inbox of its topic (:mod:`.intake`).  The loop moves what is there into the open
batches of the partitions (:mod:`.accumulator`), which the :mod:`.partitioner` has chosen.  The :mod:`.sender` takes
batches that are full or have waited long enough, numbers them, and sends them to the leaders of their partitions.  The
answer completes the :mod:`.batch`, and with it every record's :class:`~.delivery.Delivery`.
"""
