from __future__ import annotations

from minikafka_client.offsets import OffsetAndMetadata


def test_a_plain_offset_has_nothing_beside_it() -> None:
    assert OffsetAndMetadata.of(3) == OffsetAndMetadata(3, "", -1)
    noted = OffsetAndMetadata(3, "note", 2)
    assert OffsetAndMetadata.of(noted) is noted
