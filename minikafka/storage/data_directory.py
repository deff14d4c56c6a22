"""A data directory: whose it is, whether it may be used, and what it remembers of all its logs together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from minikafka.errors import StorageError
from minikafka.storage import checkpoint, filenames
from minikafka.storage.fs import FileSystem, Lock, remove_tree, write_fully
from minikafka.types import TopicPartition, new_uuid, uuid_text

_IDENTITY_COMMENT = "#"
_NEXT_SUFFIX = ".next"
_CLEAN_SHUTDOWN = b'{"version":0,"brokerEpoch":-1}'


class DirectoryIdentity(NamedTuple):
    """The contents of meta.properties: which broker of which cluster the directory belongs to."""

    cluster_id: str
    node_id: int
    directory_id: str


class CheckpointTicket(NamedTuple):
    """One round of writing a checkpoint, made by ``begin_checkpoint`` and handed back to ``end_checkpoint``."""

    home: DataDirectory
    fs: FileSystem
    path: Path
    offsets: dict[TopicPartition, int]
    version: int

    @property
    def next_path(self) -> Path:
        """The file beside the old one."""
        return self.path.with_name(self.path.name + _NEXT_SUFFIX)

    def run(self) -> None:
        """Write the new file beside the old one and force it to disk; may run in another thread.

        Raises:
            StorageError: The old file stays.
        """
        file = self.fs.open(self.next_path, create=True)
        try:
            file.truncate(0)
            write_fully(file, (checkpoint.encode(checkpoint.offset_lines(self.offsets)),))
            file.fdatasync()
        finally:
            file.close()


class DataDirectory:
    """A directory of partitions, locked by one broker.

    Every log in it keeps its numbers up to date here: its recovery point, below which everything is on the disk, its
    log start offset, and up to where it has been compacted.  They are written to Kafka's checkpoint files, the start
    offsets when somebody was told of them, the others now and then: too low a number only makes work to be done again.

    Args:
        path: The directory; made by :meth:`lock` when it is missing.
        fs: The file system it is on.
    """

    def __init__(self, path: Path, fs: FileSystem) -> None:
        self.path = path
        self.offline_reason: str | None = None
        """Why nothing in the directory may be used any more; None while all is well."""
        self.recovery_points: dict[TopicPartition, int] = {}
        self.log_start_offsets: dict[TopicPartition, int] = {}
        self.cleaned_offsets: dict[TopicPartition, int] = {}
        self._fs = fs
        self._lock: Lock | None = None
        self._version = 0
        self._written: dict[str, dict[TopicPartition, int]] = {}
        self._in_files: set[TopicPartition] = set()

    def lock(self) -> None:
        """Make the directory if need be, and keep every other broker out of it.

        Raises:
            StorageError: Another broker uses it, or it cannot be made.
        """
        missing = [path for path in (self.path, *self.path.parents) if not self._fs.exists(path)]
        self._fs.make_directory(self.path)
        for path in missing:
            self._fs.sync_directory(path.parent)
        self._lock = self._fs.lock(self.path / filenames.LOCK)

    def release(self) -> None:
        """Let another broker use the directory."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def fail(self, reason: str) -> None:
        """Take the directory out of use until the broker restarts."""
        if self.offline_reason is None:
            self.offline_reason = reason

    @property
    def identity(self) -> DirectoryIdentity | None:
        """Whose directory this is; None when it has not been claimed, or the file that says so is damaged."""
        lines = checkpoint.read(self._fs, self.path / filenames.META_PROPERTIES, _IDENTITY_COMMENT)
        pairs = dict(line.split("=", 1) for line in lines or () if "=" in line and not line.startswith("#"))
        try:
            return DirectoryIdentity(pairs["cluster.id"], int(pairs["node.id"]), pairs.get("directory.id", ""))
        except (KeyError, ValueError):
            return None

    def claim(self, cluster_id: str, node_id: int) -> DirectoryIdentity:
        """Make sure that the directory is this broker's, writing meta.properties when nobody has claimed it.

        Raises:
            StorageError: It belongs to another cluster or another broker.
        """
        identity = self.identity
        if identity is None:
            identity = DirectoryIdentity(cluster_id, node_id, uuid_text(new_uuid()))
            checkpoint.write(
                self._fs,
                self.path / filenames.META_PROPERTIES,
                [
                    "version=1",
                    f"cluster.id={cluster_id}",
                    f"node.id={node_id}",
                    f"directory.id={identity.directory_id}",
                ],
                _IDENTITY_COMMENT,
            )
        if identity.cluster_id != cluster_id:
            raise StorageError(
                f"{self.path} holds data of cluster {identity.cluster_id}, this broker is of cluster {cluster_id}"
            )
        if identity.node_id != node_id:
            raise StorageError(f"{self.path} holds data of broker {identity.node_id}, this is broker {node_id}")
        return identity

    def read_checkpoints(self) -> None:
        """Read the checkpoint files; one that is missing or damaged counts as empty."""
        self.recovery_points = checkpoint.read_offsets(self._fs, self.path / filenames.RECOVERY_POINTS) or {}
        self.log_start_offsets = checkpoint.read_offsets(self._fs, self.path / filenames.LOG_START_OFFSETS) or {}
        self.cleaned_offsets = checkpoint.read_offsets(self._fs, self.path / filenames.CLEANED_OFFSETS) or {}
        self._in_files = {*self.recovery_points, *self.log_start_offsets, *self.cleaned_offsets}

    def take_clean_marker(self) -> bool:
        """Whether the last broker here stopped cleanly.

        The marker is gone from the disk when this returns: were it still there after a power loss, the next start
        would take a torn log for a clean one.
        """
        path = self.path / filenames.CLEAN_SHUTDOWN
        if not self._fs.exists(path):
            return False
        self._fs.unlink(path)
        self._fs.sync_directory(self.path)
        return True

    def write_clean_marker(self) -> None:
        """Note that everything in the directory is whole and on the disk: the last thing that a broker writes."""
        file = self._fs.open(self.path / filenames.CLEAN_SHUTDOWN, create=True)
        try:
            file.truncate(0)
            write_fully(file, (_CLEAN_SHUTDOWN,))
            file.fdatasync()
        finally:
            file.close()
        self._fs.sync_directory(self.path)

    def has_machine_restarted(self) -> bool:
        """Whether the machine may have gone down since the logs were last opened, and with it what was not synced."""
        boot_id = self._fs.boot_id()
        return not boot_id or checkpoint.read(self._fs, self.path / filenames.BOOT_ID) != [boot_id]

    def remember_boot(self) -> None:
        """Note that the logs have been opened, and recovered, since the machine was started."""
        if self.has_machine_restarted():
            checkpoint.write(self._fs, self.path / filenames.BOOT_ID, [self._fs.boot_id()])

    def begin_checkpoint(self) -> list[CheckpointTicket]:
        """Take down the recovery points, and how far logs are compacted, as far as the files do not have them."""
        return [
            CheckpointTicket(self, self._fs, self.path / name, dict(offsets), self._version)
            for name, offsets in (
                (filenames.RECOVERY_POINTS, self.recovery_points),
                (filenames.CLEANED_OFFSETS, self.cleaned_offsets),
            )
            if offsets != self._written.get(name, {})
        ]

    def end_checkpoint(self, ticket: CheckpointTicket) -> None:
        """Put the file that a ticket has written in its place, unless it says too much by now."""
        if ticket.version != self._version:
            return
        self._fs.rename(ticket.next_path, ticket.path)
        self._written[ticket.path.name] = ticket.offsets
        self._in_files |= ticket.offsets.keys()

    def saved_recovery_point(self, topic_partition: TopicPartition) -> int:
        """The recovery point in the checkpoint; sync the directory to be sure that the next start finds it."""
        return self._written.get(filenames.RECOVERY_POINTS, {}).get(topic_partition, 0)

    def lower_recovery_point(self, topic_partition: TopicPartition, offset: int) -> None:
        """Note, on disk too, that a log is about to be written again from ``offset`` on."""
        if self.recovery_points.get(topic_partition, 0) > offset:
            self.recovery_points[topic_partition] = offset
            self.save_recovery_points()

    def lower_cleaned_offset(self, topic_partition: TopicPartition, offset: int) -> None:
        """Note, on disk too, that what a log has from ``offset`` on is not compacted: it is not written yet."""
        if self.cleaned_offsets.get(topic_partition, 0) > offset:
            self.cleaned_offsets[topic_partition] = offset
            self.save_cleaned_offsets()

    def save_recovery_points(self) -> None:
        """Write the recovery points; they are on the disk when this returns."""
        self._version += 1
        self._save(filenames.RECOVERY_POINTS, self.recovery_points)

    def save_cleaned_offsets(self) -> None:
        """Write how far the logs are compacted; that is on the disk when this returns."""
        self._version += 1
        self._save(filenames.CLEANED_OFFSETS, self.cleaned_offsets)

    def save_log_start_offsets(self) -> None:
        """Write the log start offsets; they are on the disk when this returns."""
        self._save(filenames.LOG_START_OFFSETS, {tp: offset for tp, offset in self.log_start_offsets.items() if offset})

    def raise_log_start_offset(self, topic_partition: TopicPartition, offset: int) -> None:
        """Note that a log begins at ``offset``; that is on the disk when this returns.

        Raises:
            StorageError: It may not survive a crash, and is as before.
        """
        before = self.log_start_offsets.get(topic_partition, 0)
        self.log_start_offsets[topic_partition] = offset
        try:
            self.save_log_start_offsets()
        except StorageError:
            self.log_start_offsets[topic_partition] = before
            raise

    def remove_partition(self, topic_partition: TopicPartition) -> None:
        """Remove a partition's directory; its name is free for another when this returns.

        Raises:
            StorageError: Some of its files are still there, under a name that the next start clears away.
        """
        self.forget(topic_partition)
        renamed = self.path / filenames.deleted_directory(topic_partition, new_uuid())
        self._fs.rename(self.path / filenames.partition_directory(topic_partition), renamed)
        remove_tree(self._fs, renamed)

    def forget(self, topic_partition: TopicPartition) -> None:
        """Drop the numbers of a deleted log; the files may have them until :meth:`prepare_for`."""
        self.recovery_points.pop(topic_partition, None)
        self.log_start_offsets.pop(topic_partition, None)
        self.cleaned_offsets.pop(topic_partition, None)
        self._version += 1

    def prepare_for(self, topic_partition: TopicPartition) -> None:
        """Make sure that a new log does not find the numbers of a deleted one of the same name after a crash."""
        if topic_partition in self._in_files:
            self._in_files = set()
            self.save_recovery_points()
            self.save_log_start_offsets()
            self.save_cleaned_offsets()

    def _save(self, name: str, offsets: Mapping[TopicPartition, int]) -> None:
        checkpoint.write(self._fs, self.path / name, checkpoint.offset_lines(offsets))
        self._written[name] = dict(offsets)
        self._in_files |= offsets.keys()
