"""Images and containers without a container engine: the steps of a Dockerfile, run in namespaces of this machine.

    docker build   each stage's root is an overlay: below it this machine's own file system, which stays as it is,
                   above it memory that takes what the stage writes; its instructions run there, unchanged
    docker run     namespaces for processes, mounts and network: the program is process 1, has the image's user and
                   environment, a fresh volume, a read-only root if asked for, and port 9092 for itself

What the base image would have that this machine has not, or the other way round, is all that differs: a Debian
with this test's own Python at /usr/local, as in Docker's ``python`` images.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from uuid import uuid4

from tests.frame.dockerfile import Instruction, Stage, context_files, exec_form, parse

_TOOLS = ("nsenter", "unshare", "chroot", "mount", "ip")
_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 20.0
_COMMAND_TIMEOUT_S = 120.0
_MAX_OUTPUT_BYTES = 1 << 20
_BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# Without words about images, and a compiler, which the slim image has not, is never asked for.
_BUILD_ENVIRONMENT = {"PIP_ONLY_BINARY": ":all:", "PIP_ROOT_USER_ACTION": "ignore", "HOME": "/root"}
_OF_THIS_MACHINE = re.compile(r"PIP_\w+|SSL_\w+|\w+_proxy|\w+_PROXY")

_HOLD_NAMESPACES = """
set -e
python=$1; space=$2; shift 2
mount -t tmpfs tmpfs "$space"
ip link set lo up
for stage; do
    root=$space/$stage/root
    mkdir -p "$root" "$space/$stage/upper" "$space/$stage/work" "$space/$stage/local" "$space/$stage/local-work"
    chmod 755 "$space/$stage/upper"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$space/$stage/upper,workdir=$space/$stage/work" "$root"
    mount -t overlay overlay \
        -o "lowerdir=$python,upperdir=$space/$stage/local,workdir=$space/$stage/local-work" "$root/usr/local"
    mount --bind /dev "$root/dev"
    mount --bind /proc "$root/proc"
    test -e "$root/usr/local/bin/python" || ln -s python3 "$root/usr/local/bin/python"
    chroot "$root" ldconfig
done
echo ready
exec cat
"""

_START_CONTAINER = """
set -e
root=$1; user=$2; volume=$3; mounted_at=$4; mode=$5; directory=$6; shift 6
mount --bind "$volume" "$root$mounted_at"
test "$mode" = rw || mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
exec chroot --userspec="$user" "$root" env --chdir="$directory" "$@"
"""


def why_not() -> str | None:
    """What this machine lacks for all this, or None."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not found"
    if os.geteuid() != 0:
        return "only root may make a root file system of its own"
    try:
        subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True, check=True)
    except subprocess.CalledProcessError as error:
        return f"no namespaces: {error.stderr.decode().strip()}"
    return None


@dataclass(frozen=True, slots=True)
class Image:
    """What a Dockerfile comes to: a root file system and how a container of it is started."""

    holder: int
    space: Path
    root: Path
    environ: Mapping[str, str]
    user: str
    directory: str
    volume: str
    entrypoint: Sequence[str]
    command: Sequence[str]
    health_command: Sequence[str]
    stop_signal: signal.Signals
    build_output: str

    def path(self, path: str) -> Path:
        """A path of the image, to look at from this process."""
        return self.held(self.root / path.removeprefix("/"))

    def held(self, path: Path) -> Path:
        """A path of the namespace that holds the image, to look at from this process."""
        return _held(self.holder, path)

    def new_volume(self) -> Path:
        """A volume as an engine makes it: with what the image has at that place, and with its owner."""
        volume = self.space / f"volume-{uuid4()}"
        _inside(self.holder, ["cp", "-a", f"{self.root}{self.volume}", str(volume)])
        return volume


@dataclass
class Container:
    """A container that runs."""

    image: Image
    process: subprocess.Popen[bytes]
    environ: Mapping[str, str]
    volume: Path
    log: IO[bytes]

    @property
    def pid(self) -> int:
        """The container's process 1, as this machine counts it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        assert children, self.output
        return int(children[0])

    @property
    def data(self) -> Path:
        """The files in its volume, to look at from this process, also when it has ended."""
        return self.image.held(self.volume)

    @property
    def output(self) -> str:
        """What it has written so far."""
        return os.pread(self.log.fileno(), _MAX_OUTPUT_BYTES, 0).decode()

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command in it, as ``docker exec`` does."""
        uid, _, gid = self.image.user.partition(":")
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--root"]
        return subprocess.run(
            [*enter, f"--setuid={uid}", f"--setgid={gid}", "--", "env", f"--chdir={self.image.directory}", *words],
            env=self.environ,
            input=stdin,
            capture_output=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )

    def is_healthy(self) -> bool:
        """What the image's health check says."""
        return self.run(*self.image.health_command).returncode == 0

    def wait_until_healthy(self) -> None:
        """Ask until it is well.

        Raises:
            AssertionError: It ended, or did not become well in time; the text is what it wrote.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            with suppress(AssertionError):  # not yet, or no longer, there
                if self.is_healthy():
                    return
        raise AssertionError(self.output)

    def kill(self) -> None:
        """End it with all that it started, whatever state it is in."""
        if self.process.poll() is None:
            with suppress(AssertionError, ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.process.kill()
        self.process.wait(_STOP_TIMEOUT_S)

    def stop(self, number: signal.Signals | None = None) -> int:
        """Send the image's stop signal, or another, and return the exit code as Python counts it."""
        os.kill(self.pid, number or self.image.stop_signal)
        return self.process.wait(_STOP_TIMEOUT_S)


@contextmanager
def built_image(context: Path, space: Path) -> Iterator[Image]:
    """Carry out the Dockerfile of ``context``; nothing is left of it at the end.

    Args:
        context: The folder with Dockerfile and .dockerignore.
        space: An empty folder, where memory is mounted in the namespace that holds the image.
    """
    stages = parse((context / "Dockerfile").read_text())
    script = ["sh", "-c", _HOLD_NAMESPACES, "sh", sys.base_prefix, str(space), *(stage.name for stage in stages)]
    with subprocess.Popen(
        ["unshare", "--mount", "--net", *script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"ready\n", "the root file systems cannot be mounted"
            builders = [_Builder(holder.pid, space, context, stage) for stage in stages]
            for builder in builders:
                builder.build()
            yield builders[-1].image("".join(builder.output for builder in builders))
        finally:
            holder.stdin.close()  # which ends it, and its namespaces with it


@contextmanager
def running_container(
    image: Image,
    environ: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
    volume: Path | None = None,
    *,
    read_only: bool = False,
) -> Iterator[Container]:
    """A container of the image, killed at the end if it still runs."""
    settings = {**image.environ, **(environ or {})}
    volume = volume or image.new_volume()
    mode = "ro" if read_only else "rw"
    words = [*image.entrypoint, *(image.command if command is None else command)]
    with TemporaryFile() as log:
        process = subprocess.Popen(
            [
                *("nsenter", f"--target={image.holder}", "--mount", "--net", "--"),
                *("unshare", "--mount", "--pid", "--fork", "--"),
                *("sh", "-c", _START_CONTAINER, "sh", str(image.root), image.user, str(volume), image.volume, mode),
                *(image.directory, *words),
            ],
            env=settings,
            stdout=log,
            stderr=log,
        )
        container = Container(image, process, settings, volume, log)
        try:
            yield container
        finally:
            container.kill()


class _Builder:
    """One stage, instruction by instruction."""

    def __init__(self, holder: int, space: Path, context: Path, stage: Stage) -> None:
        self.output = ""
        self._holder = holder
        self._space = space
        self._root = space / stage.name / "root"
        self._context = context
        self._stage = stage
        self._environ = dict(_BASE_ENVIRONMENT)
        self._directory = "/"

    def build(self) -> None:
        """Run the instructions that change the file system or the environment.

        Raises:
            AssertionError: A step failed, or there is an instruction that this does not know.
        """
        for instruction in self._stage.instructions:
            match instruction:
                case Instruction("RUN", command):
                    self._run(["sh", "-c", command])
                case Instruction("COPY", text):
                    self._copy(shlex.split(text))
                case Instruction("WORKDIR", path):
                    self._run(["mkdir", "-p", path])
                    self._directory = path
                case Instruction("ENV", text):
                    self._set(shlex.split(text))
                case Instruction("LABEL" | "USER" | "VOLUME" | "EXPOSE"):
                    pass
                case Instruction("HEALTHCHECK" | "STOPSIGNAL" | "ENTRYPOINT" | "CMD"):
                    pass
                case other:
                    raise AssertionError(f"unknown: {other}")

    def image(self, output: str) -> Image:
        """What the stage has become, if it is the last one."""
        last = self._stage.last
        return Image(
            holder=self._holder,
            space=self._space,
            root=self._root,
            environ=self._environ,
            user=last("USER"),
            directory=self._directory,
            volume=last("VOLUME"),
            entrypoint=exec_form(last("ENTRYPOINT")),
            command=exec_form(last("CMD")),
            health_command=exec_form(last("HEALTHCHECK").partition(" CMD ")[2]),
            stop_signal=signal.Signals[last("STOPSIGNAL")],
            build_output=output,
        )

    def _run(self, words: Sequence[str]) -> None:
        of_this_machine = {name: value for name, value in os.environ.items() if _OF_THIS_MACHINE.fullmatch(name)}
        environ = {**of_this_machine, **_BUILD_ENVIRONMENT, **self._environ}
        where = ["sh", "-c", 'cd "$1"; shift; exec "$@"', "sh", self._directory]
        self.output += _inside(self._holder, ["chroot", str(self._root), *where, *words], environ)

    def _copy(self, words: Sequence[str]) -> None:
        *sources, target = [word for word in words if not word.startswith("--from=")]
        target = os.path.join(self._directory, target.removeprefix("./"))
        if words[0].startswith("--from="):
            other = self._space / words[0].removeprefix("--from=") / "root"
            _inside(self._holder, ["cp", "-a", f"{other}{sources[0]}", f"{self._root}{target}"])
            return
        into = _held(self._holder, self._root / target.removeprefix("/"))
        for name in context_files(self._context, (self._context / ".dockerignore").read_text().splitlines()):
            for source in sources:
                self._copy_file(name, source, into)

    def _copy_file(self, name: Path, source: str, into: Path) -> None:
        """Copy one file of the context, if ``source`` is it or a folder that it is in; a folder itself is not kept."""
        if name.as_posix() == source:
            to = into / name.name
        elif name.is_relative_to(source.removeprefix("./")):
            to = into / name.relative_to(source.removeprefix("./"))
        else:
            return
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self._context / name, to)

    def _set(self, words: Sequence[str]) -> None:
        for word in words:
            name, _, value = word.partition("=")
            self._environ[name] = re.sub(r"\$(\w+)", lambda found: self._environ.get(found[1], ""), value)


def _held(holder: int, path: Path) -> Path:
    return Path(f"/proc/{holder}/root") / path.relative_to("/")


def _inside(holder: int, words: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """Run a command where the image's file systems are mounted, with this machine's network; return what it wrote."""
    done = subprocess.run(
        ["nsenter", f"--target={holder}", "--mount", "--", *words],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
