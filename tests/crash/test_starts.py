from __future__ import annotations

from functools import partial
from itertools import islice
from random import Random

import pytest

from minikafka.storage import data_directory
from tests.crash.promises import Found
from tests.crash.recording_fs import EMPTY, Operation, RecordingFileSystem
from tests.crash.restart import look_at, write_more
from tests.crash.starts import Starts
from tests.crash.states import Crash, CrashState, power_losses, process_deaths
from tests.crash.workload import POLICIES, Policy, record

_STATES = 40


def start(state: CrashState, starts: Starts) -> tuple[Found, dict[object, object], list[Operation]]:
    """What is found, what there is after something was written, and all that was done to the disk."""
    fs = RecordingFileSystem(state.image, boot=int(state.crash is Crash.POWER))
    started = starts.start(fs)
    return started.found, dict(started.write()), fs.trace


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_what_is_remembered_of_a_log_is_what_comes_of_opening_it_again(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_directory, "new_uuid", lambda: b"a directory's id")
    random = Random(3)
    trace = record(1, policy)
    since = random.randrange(len(trace) // 2, len(trace) - 50)
    states = [
        *islice(process_deaths(EMPTY, trace, random, cuts=1, since=since), _STATES),
        *islice(power_losses(EMPTY, trace, random, samples=1, since=since), _STATES),
    ]
    look = partial(look_at, random=random)
    remembering = Starts(policy.config, look, write_more)
    for state in states:
        assert start(state, remembering) == start(state, Starts(policy.config, look, write_more))
