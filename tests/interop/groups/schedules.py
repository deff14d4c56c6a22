"""Random lives of groups: members of several clients join, leave, crash and come back, drawn from a seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from tests.interop.groups.members import Member, Spec
from tests.interop.groups.ownership import Event, are_dealt, conflicts, owned
from tests.interop.groups.view import Described, View

_SETTLE_TIMEOUT_S = 60.0
_LOOK_S = 0.01
_TOLD_WITHIN_NS = 2_000_000_000
"""How long it may take until everybody's events are here."""


@dataclass(frozen=True)
class Mix:
    """Who may be in one group: clients, each with the protocols it may speak, and a strategy that all support."""

    name: str
    members: Sequence[tuple[str, str]]
    strategies: Sequence[str]


class Life:
    """One group from its first member to its last.

    Args:
        mix: Who takes part.
        seed: Decides everything that happens.
        bootstrap: Where the broker is.
        topic: What the group reads, and its id.
        view: What the coordinator says.
        partition_count: How many partitions the topic has.
    """

    def __init__(self, mix: Mix, seed: int, *, bootstrap: str, topic: str, partition_count: int, view: View) -> None:
        self._random = Random(seed)
        self._mix = mix
        self._topic = topic
        self._bootstrap = bootstrap
        self._view = view
        self._partition_count = partition_count
        self._strategy = self._random.choice(mix.strategies)
        self._members: list[Member] = []
        self._past: list[Event] = []
        self._joined = 0
        self.story: list[str] = []

    def live(self, steps: int) -> None:
        """Let ``steps`` things happen, one after the other or several at once, and check after each settles."""
        try:
            for _ in range(self._random.randint(1, 3)):
                self._join()
            self._settle()
            # Only who joins a group at rest is given what others have to let go: that must happen in every life.
            happening = self._join
            for _ in range(steps):
                happening()
                if self._random.random() < 1 / 3:
                    self._step()
                self._settle()
                happening = self._step
        finally:
            for member in self._members:
                member.kill()
        assert not conflicts(self._events()), self._tell()

    def _step(self) -> None:
        choices = [self._join] if len(self._members) < 4 else []
        if self._members:
            choices += [self._leave, self._crash, self._restart]
        self._random.choice(choices)()

    def _join(self) -> None:
        client, protocol = self._random.choice(self._mix.members)
        self._joined += 1
        name = f"{client}-{self._joined}"
        spec = Spec(
            name=name,
            client=client,
            bootstrap=self._bootstrap,
            group_id=self._topic,
            topic=self._topic,
            protocol=protocol,
            strategy=self._strategy,
            instance_id=f"seat-{self._joined}" if self._random.random() < 0.4 else None,
            release_s=self._random.choice((0, 0.3, 0.3)),
        )
        self._start(spec)

    def _start(self, spec: Spec) -> None:
        self.story.append(f"{spec.name} joins ({spec.protocol}, {spec.strategy}, instance {spec.instance_id})")
        self._members.append(Member(spec))

    def _leave(self) -> None:
        member = self._pick()
        self.story.append(f"{member.spec.name} leaves")
        member.leave()
        self._past += member.events

    def _crash(self) -> None:
        member = self._pick()
        self.story.append(f"{member.spec.name} crashes")
        member.kill()
        self._past += member.events

    def _restart(self) -> None:
        """Stop a member, or kill it, and start it again with the same instance id, if it has one.

        In the consumer protocol the instance id of a member that did not say goodbye is taken until its session ends.
        """
        member = self._pick()
        if self._random.random() < 0.5:
            self.story.append(f"{member.spec.name} stops")
            member.leave()
        else:
            self.story.append(f"{member.spec.name} is killed")
            member.kill()
            if member.spec.protocol == "consumer":
                self._wait(lambda described: member.spec.seat not in described.members, "a session does not end")
        self._past += member.events
        self._joined += 1
        self._start(replace(member.spec, name=f"{member.spec.client}-{self._joined}"))

    def _pick(self) -> Member:
        return self._members.pop(self._random.randrange(len(self._members)))

    def _events(self) -> list[Event]:
        return self._past + [event for member in self._members for event in list(member.events)]

    def _settle(self) -> None:
        """Wait until every partition has exactly one owner, as those who live see it and as the coordinator does."""
        if self._members:
            self._wait(self._is_settled, "it does not settle")

    def _is_settled(self, described: Described) -> bool:
        now = owned(self._events())
        mine = {member.spec.seat: now.get(member.spec.name, frozenset()) for member in self._members}
        return described.is_stable and described.members == mine and are_dealt(mine.values(), self._partition_count)

    def _wait(self, is_over: Callable[[Described], bool], complaint: str) -> None:
        deadline = time.monotonic() + _SETTLE_TIMEOUT_S
        while not is_over(described := self._view.describe()):
            assert time.monotonic() < deadline, f"{complaint}: {described}, {owned(self._events())}\n{self._tell()}"
            told_until_ns = time.monotonic_ns() - _TOLD_WITHIN_NS
            assert not conflicts(event for event in self._events() if event.time_ns < told_until_ns), self._tell()
            for member in self._members:
                assert member.is_running, f"{member.spec.name} ended by itself\n{self._tell()}"
            time.sleep(_LOOK_S)

    def _tell(self) -> str:
        events = sorted(self._events(), key=lambda event: event.time_ns)
        lines = [f"{event.time_ns} {event.member} {event.kind.value} {sorted(event.partitions)}" for event in events]
        return "\n".join([*self.story, *conflicts(events), *lines])
