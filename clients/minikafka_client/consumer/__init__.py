"""Reading records: from an offset of a partition to messages.

Each assigned partition has a :mod:`position <.positions>`, set by ``seek`` or looked up by the :mod:`.offsets`.  The
:mod:`.fetcher` reads ahead of it, and :mod:`.decode` makes messages of what it brings when ``poll`` asks for them.
"""
