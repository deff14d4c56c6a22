"""How fast a broker is, how much memory it takes and how soon it serves; run ``python -m benchmarks``.

The load comes from a process of its own (:mod:`benchmarks.load`) that sends the same bytes to every broker.
"""
