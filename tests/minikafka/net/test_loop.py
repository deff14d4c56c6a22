from __future__ import annotations

import asyncio
import builtins
import errno
import sys
from collections.abc import Callable
from typing import Any

import pytest

from minikafka.net.loop import LoopFaults, run


async def kind_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def test_uvloop_is_used_where_it_is_installed() -> None:
    assert run(kind_of_loop()) == "uvloop"


def test_asyncio_takes_its_place_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without_uvloop(name: str, *arguments: Any) -> Any:
        if name == "uvloop":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.delitem(sys.modules, "uvloop", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_uvloop)
    assert run(kind_of_loop()) == "asyncio"


def test_an_exception_that_nobody_caught_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    run(main())
    assert "ZeroDivisionError" in capsys.readouterr().err


async def test_connections_that_cannot_be_accepted_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    faults = LoopFaults()
    loop = asyncio.get_running_loop()
    for _ in range(1000):
        faults(loop, {"message": "accept", "exception": OSError(errno.EMFILE, "too many open files")})
    log = capsys.readouterr().err
    assert len(log.splitlines()) == 1
    assert "too many open files" in log
