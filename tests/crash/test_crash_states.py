"""Every promise of the log, after every crash that the model knows; and the model, against faults put in on purpose.

Nothing here depends on timing: a violation names the seed and the policy, and the same seed finds it again.

``CRASH_STATES`` asks for more states than the 50,000 of every run, ``CRASH_SEED`` for others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import count, islice

import pytest

from minikafka.observability import logging
from tests.crash.mutants import COMPACTION_MUTANTS, MUTANTS, PRODUCER_MUTANTS, Mutant
from tests.crash.search import Tally, Violation, violations
from tests.crash.workload import POLICIES, Policy

STATES = int(os.environ.get("CRASH_STATES", "50000"))
SEED = int(os.environ.get("CRASH_SEED", "2026"))

_SHOWN = 5
_TRACES_FOR_A_FAULT = 48
_STATES_OF_A_TRACE_FOR_A_FAULT = 800

pytestmark = [pytest.mark.crash, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _no_log_lines() -> Iterator[None]:
    """Recovery says what it cuts off, tens of thousands of times here."""
    logging.configure("pretty", "critical")
    yield
    logging.configure("pretty", "warning")


@pytest.mark.timeout(120 + STATES // 100)
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_no_crash_breaks_a_promise(policy: Policy, capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    found: list[Violation] = []
    for seed in count(SEED):
        found += islice(violations(policy, seed, tally), _SHOWN)
        if found or tally.states >= STATES // len(POLICIES):
            break
    with capsys.disabled():
        print(f"\ncrash states, policy {policy.name}, from seed {SEED}: {tally}")
    assert not found, "\n".join(map(str, found))


def _where_it_matters(mutant: Mutant) -> list[Policy]:
    if mutant in COMPACTION_MUTANTS:
        return [policy for policy in POLICIES if policy.compacts]
    return [policy for policy in POLICIES if policy.has_producers == (mutant in PRODUCER_MUTANTS)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "mutant", [*MUTANTS, *COMPACTION_MUTANTS, *PRODUCER_MUTANTS], ids=lambda mutant: str(mutant.__name__)
)
def test_a_fault_that_was_put_in_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    tally = Tally()
    assert _is_found(_where_it_matters(mutant), tally), f"not found in {tally}"


def _is_found(policies: Sequence[Policy], tally: Tally) -> bool:
    for number in range(_TRACES_FOR_A_FAULT):
        policy = policies[number % len(policies)]
        if any(violations(policy, SEED + number, tally, _STATES_OF_A_TRACE_FOR_A_FAULT)):
            return True
    return False
