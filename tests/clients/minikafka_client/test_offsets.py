from __future__ import annotations

from minikafka_client.offsets import GroupMetadata, OffsetAndMetadata


def test_an_offset_needs_neither_a_note_nor_an_epoch() -> None:
    assert OffsetAndMetadata(5) == OffsetAndMetadata(5, "", -1)


def test_who_only_remembers_offsets_is_no_member() -> None:
    alone = GroupMetadata("billing")
    assert (alone.generation_id, alone.member_id, alone.group_instance_id) == (-1, "", None)
