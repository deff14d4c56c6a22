"""200,000 damaged requests and responses: the decoders raise their one error and nothing else.

``MUTATION_SEED`` chooses other damage; a failure prints the seed and the frame.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from minikafka.protocol.codec import decode, encode
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.header import decode_request_header, encode_request_header
from minikafka.protocol.schema import Message, Request
from tests.wire.mutations import MUTATIONS, SEED
from tests.wire.values import all_versions, random_message

FRAMES = 200_000


def test_200_000_damaged_frames_raise_nothing_but_the_decode_error() -> None:
    print(f"MUTATION_SEED={SEED}")
    random = Random(SEED)
    corpus = [sample for case in all_versions() for sample in samples(*case, random)]
    outcomes: Counter[str] = Counter()
    for number in range(FRAMES):
        cls, version, frame = corpus[number % len(corpus)]
        damaged = bytearray(frame)
        random.choice(MUTATIONS)(damaged, random)
        outcomes[receive(cls, version, bytes(damaged))] += 1

    assert outcomes.total() == FRAMES
    assert outcomes["refused"] > FRAMES // 2  # the damage is real
    assert outcomes["understood"] > FRAMES // 20  # and does not all end in the first field


def samples(cls: type[Message], version: int, random: Random) -> list[tuple[type[Message], int, bytes]]:
    """Two valid frames, requests with their header."""
    made = []
    for _ in range(2):
        frame = encode_request_header(cls.API_KEY, version, 7, "client") if issubclass(cls, Request) else bytearray()
        encode(random_message(cls, version, random), version, frame)
        if frame:
            made.append((cls, version, bytes(frame)))
    return made


def receive(cls: type[Message], version: int, frame: bytes) -> str:
    """Read a frame as its receiver would."""
    try:
        pos = decode_request_header(memoryview(frame)).body_position if issubclass(cls, Request) else 0
        decode(cls, version, frame, pos)
    except DecodeError:
        return "refused"
    except BaseException:
        print(f"MUTATION_SEED={SEED}: {cls.__name__} v{version} from {frame.hex()}")
        raise
    return "understood"
