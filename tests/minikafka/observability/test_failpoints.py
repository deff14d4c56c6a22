import subprocess
import sys
import time

import pytest

from minikafka.observability import failpoints


def test_a_failpoint_that_is_not_set_does_nothing():
    failpoints.hit("log.after_append")


def test_an_error_comes_at_the_time_it_is_set_for_and_only_then():
    with failpoints.active("a.b:error@2"):
        failpoints.hit("a.b")
        with pytest.raises(OSError, match=r"failpoint a\.b"):
            failpoints.hit("a.b")
        failpoints.hit("a.b")
    failpoints.hit("a.b")


def test_other_failpoints_are_not_touched():
    with failpoints.active("a:error"):
        failpoints.hit("b")


def test_a_delay_holds_up_every_time_from_the_one_it_is_set_for(monkeypatch):
    delays = []
    monkeypatch.setattr(time, "sleep", delays.append)
    with failpoints.active("a:delay=20@2"):
        failpoints.hit("a")
        assert delays == []
        failpoints.hit("a")
        failpoints.hit("a")
    assert delays == [0.02, 0.02]


def test_several_failpoints_are_set_at_once():
    assert sorted(failpoints.parse("a:kill@3; b.c:error;d:delay=5")) == ["a", "b.c", "d"]


@pytest.mark.parametrize(
    "text", ["a", "a:explode", "a:kill@0", "a:kill@x", ":kill", "a:delay", "a:delay=", "a:error=5"]
)
def test_what_is_no_failpoint_is_refused(text):
    with pytest.raises(ValueError, match="is not name:kill"):
        failpoints.parse(text)


def test_the_environment_sets_a_failpoint_that_kills():
    code = "from minikafka.observability.failpoints import hit; hit('a'); print('once', flush=True); hit('a')"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"MINIKAFKA_FAILPOINT": "a:kill@2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (-9, "once\n")
