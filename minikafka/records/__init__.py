"""The record batch, magic 2: the one unit that is produced, stored, replicated and fetched.

Knows no request, no file and no event loop.
"""
