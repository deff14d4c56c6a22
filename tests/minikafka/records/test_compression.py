from __future__ import annotations

import gzip
import random
import resource
import struct
import time
import tracemalloc

import cramjam
import pytest
from aiokafka import codec as aiokafka_codec
from hypothesis import given
from hypothesis import strategies as st

from minikafka.errors import InvalidRecord
from minikafka.records.compression import Compression, compress, decompress
from tests.minikafka.records.strategies import CODECS

MIB = 2**20
BUDGET = 4 * MIB
REAL_CODECS = CODECS[1:]
XERIAL_HEADER = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)

AIOKAFKA = {
    Compression.GZIP: (aiokafka_codec.gzip_encode, aiokafka_codec.gzip_decode),
    Compression.SNAPPY: (aiokafka_codec.snappy_encode, aiokafka_codec.snappy_decode),
    Compression.LZ4: (aiokafka_codec.lz4_encode, aiokafka_codec.lz4_decode),
    Compression.ZSTD: (aiokafka_codec.zstd_encode, aiokafka_codec.zstd_decode),
}

payloads = st.builds(lambda unit, count: unit * count, st.binary(min_size=1, max_size=100), st.integers(1, 2000))


def sample(size: int) -> bytes:
    words = [b"alpha", b"beta", b"gamma", b"delta"]
    chosen = random.Random(size).choices(words, k=size // 4)
    return b"".join(chosen)[:size]


def test_the_numbers_and_names_are_kafkas() -> None:
    names = ["none", "gzip", "snappy", "lz4", "zstd"]
    assert [codec.config_name for codec in CODECS] == names
    assert [int(codec) for codec in CODECS] == [0, 1, 2, 3, 4]


@given(st.sampled_from(CODECS), payloads)
def test_what_was_compressed_comes_back(codec: Compression, data: bytes) -> None:
    compressed = compress(codec, memoryview(bytearray(data)))
    assert decompress(codec, memoryview(compressed), len(data)) == data


@given(st.sampled_from(REAL_CODECS), payloads)
def test_aiokafka_reads_what_is_written_and_is_read(codec: Compression, data: bytes) -> None:
    encode, decode = AIOKAFKA[codec]
    assert bytes(decode(compress(codec, data))) == data
    assert decompress(codec, bytes(encode(data)), len(data)) == data


@pytest.mark.parametrize("codec", REAL_CODECS)
def test_the_budget_is_the_last_byte_that_is_allowed(codec: Compression) -> None:
    data = sample(200_000)
    compressed = compress(codec, data)
    assert decompress(codec, compressed, len(data)) == data
    with pytest.raises(InvalidRecord):
        decompress(codec, compressed, len(data) - 1)


@pytest.mark.parametrize("codec", REAL_CODECS)
def test_highly_compressible_records_come_back(codec: Compression) -> None:
    data = bytes(3 * MIB)
    assert decompress(codec, compress(codec, data), BUDGET) == data


@pytest.mark.parametrize("codec", REAL_CODECS)
def test_f14_a_stream_cut_anywhere_is_refused(codec: Compression) -> None:
    data = sample(100_000)
    compressed = compress(codec, data)
    for size in (*range(40), *range(40, len(compressed), 997), len(compressed) - 1):
        try:
            assert decompress(codec, compressed[:size], BUDGET) != data
            assert codec is Compression.SNAPPY  # cut between two blocks it is a shorter stream
        except InvalidRecord:
            pass


@pytest.mark.parametrize("codec", REAL_CODECS)
def test_f14_corrupt_streams_are_refused_or_give_bounded_output(codec: Compression) -> None:
    rng = random.Random(codec)
    compressed = compress(codec, sample(20_000))
    refused = 0
    for _ in range(300):
        corrupt = bytearray(compressed)
        for _ in range(rng.choice([1, 1, 5])):
            corrupt[rng.randrange(min(len(corrupt), 400))] = rng.randrange(256)
        try:
            assert len(decompress(codec, corrupt, 30_000)) <= 30_000
        except InvalidRecord:
            refused += 1
    assert refused > 30


@given(st.sampled_from(REAL_CODECS), st.binary(max_size=200))
def test_f14_garbage_raises_nothing_but_invalid_record(codec: Compression, data: bytes) -> None:
    try:
        assert len(decompress(codec, data, 10_000)) <= 10_000
    except InvalidRecord:
        return


def bomb(codec: Compression, size: int) -> bytes:
    zeros = bytes(size)
    if codec is Compression.GZIP:
        return gzip.compress(zeros)
    if codec is Compression.SNAPPY:
        return bytes(cramjam.snappy.compress_raw(zeros))
    return bytes({Compression.LZ4: cramjam.lz4, Compression.ZSTD: cramjam.zstd}[codec].compress(zeros))


@pytest.mark.parametrize("codec", REAL_CODECS)
def test_f14_a_bomb_takes_no_more_memory_and_time_than_its_budget(codec: Compression) -> None:
    data = bomb(codec, 128 * MIB)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(InvalidRecord):
            decompress(codec, data, BUDGET)
        elapsed = time.perf_counter() - started
        assert tracemalloc.get_traced_memory()[1] < 2 * BUDGET
    finally:
        tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 3 * BUDGET / 1024
    assert elapsed < 1


@pytest.mark.parametrize("codec", [Compression.GZIP, Compression.LZ4, Compression.ZSTD])
def test_f14_a_refusal_holds_none_of_what_came_out(codec: Compression) -> None:
    data = bomb(codec, 2 * BUDGET)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRecord) as caught:
            decompress(codec, data, BUDGET)
        held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.__traceback__ is not None
    assert held_bytes < MIB / 4
    assert peak_bytes < BUDGET + MIB / 4


def test_f14_many_small_snappy_blocks_share_one_budget() -> None:
    block = bytes(cramjam.snappy.compress_raw(bytes(64 * 1024)))
    framed = XERIAL_HEADER + (struct.pack(">i", len(block)) + block) * 1000
    with pytest.raises(InvalidRecord):
        decompress(Compression.SNAPPY, framed, BUDGET)
    assert len(decompress(Compression.SNAPPY, framed, 1000 * 64 * 1024)) == 1000 * 64 * 1024


@pytest.mark.parametrize("claim", [2**32 - 1, 2**31, BUDGET + 1, BUDGET])
def test_f14_nothing_is_allocated_for_a_claimed_length(claim: int) -> None:
    prefix = bytearray()
    while claim > 0x7F:
        prefix.append(claim & 0x7F | 0x80)
        claim >>= 7
    prefix.append(claim)
    raw = bytes(prefix) + b"\x00a"
    tracemalloc.start()
    try:
        for data in (raw, XERIAL_HEADER + struct.pack(">i", len(raw)) + raw):
            with pytest.raises(InvalidRecord):
                decompress(Compression.SNAPPY, data, BUDGET)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_snappy_is_framed_as_javas_library_does_and_read_either_way() -> None:
    data = sample(100_000)
    framed = compress(Compression.SNAPPY, data)
    assert framed.startswith(XERIAL_HEADER)
    (first,) = struct.unpack_from(">i", framed, 16)
    assert cramjam.snappy.decompress_raw_len(framed[20 : 20 + first]) == 32 * 1024
    assert decompress(Compression.SNAPPY, bytes(cramjam.snappy.compress_raw(data)), BUDGET) == data


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 1, 2**31 - 1, None])
def test_f14_a_framed_block_whose_length_lies_is_refused(length: int | None) -> None:
    block = bytes(cramjam.snappy.compress_raw(b"abc" * 50))
    claim = len(block) + 1 if length is None else length
    with pytest.raises(InvalidRecord):
        decompress(Compression.SNAPPY, XERIAL_HEADER + struct.pack(">i", claim) + block, BUDGET)


@pytest.mark.parametrize("size", range(8, 16))
def test_f14_a_cut_frame_header_is_refused(size: int) -> None:
    with pytest.raises(InvalidRecord):
        decompress(Compression.SNAPPY, XERIAL_HEADER[:size], BUDGET)


def test_lz4_blocks_are_written_independent_and_without_a_content_size() -> None:
    frame = compress(Compression.LZ4, sample(300_000))
    flags = frame[4]
    assert frame.startswith(bytes.fromhex("04224d18"))
    assert flags & 0b1100_0000 == 0b0100_0000  # version 1
    assert flags & 0b0010_0000  # independent blocks
    assert not flags & 0b0000_1001  # neither a content size nor a dictionary


def test_linked_lz4_blocks_with_checksums_are_read() -> None:
    data = sample(300_000)
    frame = bytes(cramjam.lz4.compress(data))
    assert not frame[4] & 0b0010_0000
    assert decompress(Compression.LZ4, frame, BUDGET) == data


def test_gzip_members_one_after_another_are_one_stream() -> None:
    assert decompress(Compression.GZIP, gzip.compress(b"a" * 99) + gzip.compress(b"b"), BUDGET) == b"a" * 99 + b"b"


def test_a_zstd_window_larger_than_any_batch_is_refused_at_no_cost() -> None:
    frame = bytes.fromhex("28b52ffd") + bytes([0x20 | 0xC0]) + struct.pack("<Q", 2**40) + b"\x01\x00\x00"
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidRecord):
        decompress(Compression.ZSTD, frame, BUDGET)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 16 * 1024
