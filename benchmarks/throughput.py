"""How much a broker takes and gives: large batches in, the same out, and small requests."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.harness import Settings, fetch, produce, rotated, running, settle, warm_up
from benchmarks.load import LoadResult
from benchmarks.report import AtLeastTimes, Row
from benchmarks.targets import Bare, Kfake, Minikafka, Tansu, Target

_REQUESTS_IN_FLIGHT = 50


def measure_throughput(settings: Settings) -> list[Row]:
    """Every target starts anew for each run; what it stored is removed before the next one starts."""
    produced = Row("produce, batches of 800 records", "MB/s")
    fetched = Row("fetch of the same", "MB/s")
    requests = Row("produce, one record a request", "/s")
    produced.goals = {Tansu.name: AtLeastTimes(3), Bare.name: AtLeastTimes(0.7)}
    fetched.goals = {Tansu.name: AtLeastTimes(5)}
    requests.goals = {Tansu.name: AtLeastTimes(5)}
    makers = _makers(settings)
    for row in (produced, fetched, requests):
        row.samples = {name: [] for name in makers if name != Bare.name or row is produced}
    for run in range(settings.runs):
        for name in rotated(list(makers), run):
            with running(makers[name]()) as target:
                warm_up(settings, target)
                settle(settings.directory, 2 * settings.max_bytes)
                produced.add(name, _mb_per_s(produce(settings, target)))
                if target.is_broker:
                    fetched.add(name, _mb_per_s(fetch(settings, target)))
                    small = produce(settings, target, in_flight=_REQUESTS_IN_FLIGHT, records_per_batch=1)
                    requests.add(name, small.requests / small.seconds)
        settings.tell(f"throughput, run {run + 1}: " + ", ".join(_last(row) for row in (produced, fetched, requests)))
    return [produced, fetched, requests]


def _makers(settings: Settings) -> dict[str, Callable[[], Target]]:
    directory, kfake = settings.directory, settings.kfake
    makers: dict[str, Callable[[], Target]] = {
        "minikafka never": lambda: Minikafka(directory / "never", "never"),
        "minikafka auto": lambda: Minikafka(directory / "auto", "auto"),
        Tansu.name: lambda: Tansu(directory / "tansu"),
        Bare.name: lambda: Bare(directory / "bare"),
    }
    if kfake is not None:
        makers[Kfake.name] = lambda: Kfake(directory / "kfake", kfake)
    return makers


def _mb_per_s(result: LoadResult) -> float:
    return result.bytes / result.seconds / 1e6


def _last(row: Row) -> str:
    return " | ".join(f"{figures[-1]:,.0f}" for figures in row.samples.values()) + f" {row.unit}"
