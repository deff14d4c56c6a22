"""What can go wrong between bytes and messages: the peer's bytes, or our own values."""

from __future__ import annotations


class DecodeError(ValueError):
    """The bytes are not a well-formed message of that version: the connection they came from is of no more use."""


class EncodeError(ValueError):
    """A value does not fit its wire type, or the version has no room for it."""
