"""A disk whose power can really be cut: ext4 on a loop device, which needs root and a kernel that allows it.

Two ways to cut: the image is copied while the file system is in use, and the copy mounted; or the file system is told
to stop at once, without writing even its journal (``FS_IOC_SHUTDOWN``), and mounted again.  Either way the disk has
what was synced, and of the rest whatever the kernel happened to have written.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIZE_BYTES = 192 * 1024 * 1024
_FS_IOC_SHUTDOWN = 0x8004587D
_WITHOUT_LOG_FLUSH = struct.pack("I", 2)


class NoLoopDisk(Exception):
    """This machine does not allow it; the text says what is missing."""


class LoopDisk:
    """A file system in a file; it is mounted at ``path``.

    Args:
        image: The file.
        path: The mount point.
        options: How to mount, besides that the kernel commits on its own as late as it can.
    """

    def __init__(self, image: Path, path: Path, options: str = "") -> None:
        self.path = path
        self._image = image
        self._options = ",".join(filter(None, ("loop,commit=300", options)))

    def mount(self) -> None:
        """Mount it, replaying its journal."""
        self.path.mkdir(exist_ok=True)
        _run("mount", "-o", self._options, str(self._image), str(self.path))

    def unmount(self) -> None:
        """Let go of it."""
        _run("umount", str(self.path))

    def shut_down(self) -> None:
        """Cut the power: from now on every call fails, and nothing more reaches the image."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _FS_IOC_SHUTDOWN, _WITHOUT_LOG_FLUSH)
        finally:
            os.close(fd)

    def copy_to(self, image: Path, path: Path) -> LoopDisk:
        """What the disk would have if the power went now; whoever writes to it must be stopped meanwhile."""
        _run("cp", "--sparse=always", str(self._image), str(image))
        copy = LoopDisk(image, path)
        copy._options = self._options
        return copy


@contextmanager
def loop_disk(directory: Path, options: str = "") -> Iterator[LoopDisk]:
    """A new disk, mounted; unmounted at the end.

    Raises:
        NoLoopDisk: There can be none here.
    """
    image = directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(_SIZE_BYTES)
    disk = LoopDisk(image, directory / "disk", options)
    try:
        _run("mkfs.ext4", "-q", "-F", str(image))
        disk.mount()
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.decode().strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise NoLoopDisk(reason) from None
    try:
        yield disk
    finally:
        disk.unmount()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
