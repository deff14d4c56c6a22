"""Structures that travel or lie inside something else: in a field of bytes, or in the records of an internal topic."""
