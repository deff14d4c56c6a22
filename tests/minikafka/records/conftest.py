"""Imports kafka-python, which warns while it reads its schemas, before warnings become errors in a test."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka.record.default_records  # noqa: F401
