from __future__ import annotations

from datetime import datetime

import pytest

from minikafka.cli.places import Place, PlaceKind, parse_place

NOW_MS = 1_795_341_600_000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("beginning", Place(PlaceKind.BEGINNING)),
        ("end", Place(PlaceKind.END)),
        ("0", Place(PlaceKind.OFFSET, 0)),
        ("4211", Place(PlaceKind.OFFSET, 4211)),
        ("-10", Place(PlaceKind.BEFORE_END, 10)),
        ("@0", Place(PlaceKind.TIME, 0)),
        ("@1795341600000", Place(PlaceKind.TIME, 1_795_341_600_000)),
        ("@-5m", Place(PlaceKind.TIME, NOW_MS - 300_000)),
        ("@-1.5h", Place(PlaceKind.TIME, NOW_MS - 5_400_000)),
        ("@-250ms", Place(PlaceKind.TIME, NOW_MS - 250)),
        ("@-99999d", Place(PlaceKind.TIME, 0)),
        ("@2026-11-22T10:00Z", Place(PlaceKind.TIME, 1_795_341_600_000)),
        ("@2026-11-22T11:00+01:00", Place(PlaceKind.TIME, 1_795_341_600_000)),
    ],
)
def test_a_place_is_understood(text: str, place: Place) -> None:
    assert parse_place(text, NOW_MS) == place


def test_a_time_without_a_zone_is_local() -> None:
    local = datetime(2026, 11, 22, 10, 0)
    assert parse_place("@2026-11-22T10:00", NOW_MS) == Place(PlaceKind.TIME, int(local.timestamp() * 1000))


@pytest.mark.parametrize("text", ["", "-", "--5", "1.5", "+3", "begin", "@", "@-5", "@-5y", "@tomorrow", "٣", "1_000"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        parse_place(text, NOW_MS)
