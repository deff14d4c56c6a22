"""Sending records: from ``send`` over batches to requests.

A record goes into the open batch of its partition (:mod:`.accumulator`), chosen by the :mod:`.partitioner`.  The
:mod:`.sender` takes batches that are full or have waited long enough, numbers them, and sends them to the leaders of
their partitions.  The answer completes the :mod:`.batch`, and with it every record's :class:`~.batch.Delivery`.
"""
