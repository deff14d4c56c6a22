from __future__ import annotations

from pathlib import Path

from tests.reliability.ledger import Entry, Ledger


def test_runs_add_up_over_many_ledgers_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    first = Ledger(path)
    assert first.next_seed("states", 5) == 5
    first.add(Entry("states", 5, "abc", 1.5, {"states": 100}))
    first.add(Entry("states", 6, "abc", 0.5, {"states": 50}, failure="seed 6: something is lost"))
    again = Ledger(path)
    again.add(Entry("kills", 9, "abc", 3.0, {"kills": 10}))
    assert again.next_seed("states", 1) == 7
    totals = Ledger(path).totals()
    assert str(totals["states"]) == "2 runs in 2 s, 1 failed: 150 states"
    assert str(totals["kills"]) == "1 runs in 3 s, 0 failed: 10 kills"
