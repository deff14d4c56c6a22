from __future__ import annotations

import pytest

from minikafka.protocol.errors import DecodeError, EncodeError
from minikafka.protocol.frame import FRAME_PREFIX, FrameTooLarge, InvalidFrameSize, check_frame_size, frame_prefix


def test_the_prefix_is_the_size_of_all_buffers() -> None:
    assert frame_prefix([b"abc", memoryview(b"de"), bytearray(1)]) == b"\0\0\0\x06"


def test_the_prefix_is_a_signed_number() -> None:
    assert FRAME_PREFIX.unpack(b"\xff\xff\xff\xff") == (-1,)
    with pytest.raises(EncodeError, match="2147483648 bytes"):
        frame_prefix([Huge()])


class Huge(bytes):
    """Says that it is long, and takes no memory."""

    def __len__(self) -> int:
        return 1 << 31


@pytest.mark.parametrize("size", [1, 100])
def test_a_size_within_the_limit_passes(size: int) -> None:
    check_frame_size(size, 100)


@pytest.mark.parametrize("size", [0, -1, -(1 << 31)])
def test_a_size_that_is_not_positive_is_refused(size: int) -> None:
    with pytest.raises(InvalidFrameSize):
        check_frame_size(size, 100)


@pytest.mark.parametrize("size", [101, 0x47455420, 0x16030100])
def test_a_size_above_the_limit_is_refused(size: int) -> None:
    """The last two are how HTTP and TLS begin."""
    with pytest.raises(FrameTooLarge, match="100 are allowed"):
        check_frame_size(size, 100)


def test_a_bad_size_is_a_decode_error() -> None:
    assert issubclass(FrameTooLarge, DecodeError)
    assert issubclass(InvalidFrameSize, DecodeError)
