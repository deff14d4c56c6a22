"""A data directory in memory that does not outlive its broker."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "minikafka-memory-"
# Containers get 64 MiB of shared memory unless they are told otherwise: too little for a broker's data.
_ENOUGH_BYTES = 1 << 30


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory, in memory where there is enough of it, that is removed at the end.

    Directories of brokers that were killed are removed on the way: each holds a lock on its directory, and a lock dies
    with its process.
    """
    parent = _parent()
    _remove_abandoned(parent)
    hidden = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=parent))
    lock = os.open(hidden, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    directory = hidden.with_name(hidden.name.removeprefix("."))  # visible to others once it is locked
    hidden.rename(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _parent() -> Path:
    try:
        if os.access(_SHARED_MEMORY, os.W_OK) and shutil.disk_usage(_SHARED_MEMORY).free >= _ENOUGH_BYTES:
            return _SHARED_MEMORY
    except OSError:
        pass
    return Path(tempfile.gettempdir())


def _remove_abandoned(parent: Path) -> None:
    for directory in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove_unless_locked(directory)


def _remove_unless_locked(directory: Path) -> None:
    lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)
