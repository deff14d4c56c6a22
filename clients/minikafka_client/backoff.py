"""How long to wait before trying again."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# Not the module's shared generator, whose sequence belongs to the program that uses this client.
_random = Random()


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from ``initial_ms`` to ``max_ms``, each a fifth longer or shorter by chance (KIP-580)."""

    initial_ms: int = 50
    max_ms: int = 1_000

    def delay_s(self, attempt: int) -> float:
        """Seconds to wait after failure number ``attempt``, counted from 0."""
        plain_ms = min(self.max_ms, self.initial_ms << min(attempt, 30))
        return plain_ms * _random.uniform(0.8, 1.2) / 1_000
