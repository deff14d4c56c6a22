"""Ways to damage a frame."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

SEED = int(os.environ.get("MUTATION_SEED", "2026"))
"""Another one makes other damage."""

LENGTHS = [
    bytes.fromhex(text) for text in ("ffff", "7fff", "ffffffff", "7fffffff", "fffffffe", "ffffffff0f", "8080808010")
]

Mutation = Callable[[bytearray, Random], None]


def flip_bits(frame: bytearray, random: Random) -> None:
    for _ in range(random.randint(1, 4)):
        frame[random.randrange(len(frame))] ^= 1 << random.randrange(8)


def truncate(frame: bytearray, random: Random) -> None:
    del frame[random.randrange(len(frame)) :]


def insert(frame: bytearray, random: Random) -> None:
    at = random.randrange(len(frame) + 1)
    frame[at:at] = random.randbytes(random.randint(1, 8))


def remove(frame: bytearray, random: Random) -> None:
    at = random.randrange(len(frame))
    del frame[at : at + random.randint(1, 8)]


def change_length(frame: bytearray, random: Random) -> None:
    length = random.choice(LENGTHS)
    at = random.randrange(len(frame))
    frame[at : at + len(length)] = length


def repeat_part(frame: bytearray, random: Random) -> None:
    start = random.randrange(len(frame))
    part = bytes(frame[start : start + random.randint(1, 32)])
    frame[start:start] = part * random.randint(1, 4)


MUTATIONS: list[Mutation] = [flip_bits, truncate, insert, remove, change_length, repeat_part]
