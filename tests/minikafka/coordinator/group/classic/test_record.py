from hypothesis import given
from hypothesis import strategies as st

from minikafka.coordinator.group.classic.member import Member
from minikafka.coordinator.group.classic.record import member_records, recorded_members
from minikafka.coordinator.group.values import ClassicProtocol, Client
from minikafka.protocol.payloads.group_records import GroupMetadataValue, MemberMetadata
from minikafka.protocol.payloads.versioned import decode_versioned, encode_versioned

GROUP_METADATA_VERSION = 3
texts = st.text(max_size=20)
timeouts = st.integers(0, 2**31 - 1)
members = st.builds(
    Member,
    texts,
    st.none() | texts,
    st.builds(Client, texts, texts),
    st.tuples(st.builds(ClassicProtocol, st.just("range"), st.binary(max_size=20))),
    session_timeout_ms=timeouts,
    rebalance_timeout_ms=timeouts,
    assignment=st.binary(max_size=20),
)


def value_of(recorded: list[MemberMetadata]) -> GroupMetadataValue:
    return GroupMetadataValue(protocol_type="consumer", generation=3, protocol="range", leader=None, members=recorded)


def fields(member: Member):
    return (
        member.member_id,
        member.group_instance_id,
        member.client,
        member.protocols,
        member.session_timeout_ms,
        member.rebalance_timeout_ms,
        member.assignment,
    )


@given(members)
def test_a_member_comes_back_from_its_record(member: Member) -> None:
    value = value_of(member_records([member], "range", {member.member_id: member.assignment}))
    stored = encode_versioned(value, GROUP_METADATA_VERSION)
    (restored,) = recorded_members(decode_versioned(GroupMetadataValue, memoryview(stored)))
    assert fields(restored) == fields(member)
    assert type(restored.assignment) is bytes
    assert type(restored.protocols[0].metadata) is bytes


def test_only_the_chosen_protocol_is_recorded_and_who_was_left_out_gets_nothing() -> None:
    protocols = (ClassicProtocol("range", b"1"), ClassicProtocol("sticky", b"2"))
    member = Member("m", None, Client("c", "/h"), protocols, session_timeout_ms=1, rebalance_timeout_ms=2)
    (recorded,) = member_records([member], "sticky", {})
    assert (recorded.subscription, recorded.assignment) == (b"2", b"")
    (restored,) = recorded_members(value_of([recorded]))
    assert restored.protocols == (ClassicProtocol("range", b"2"),)


def test_a_record_of_old_without_rebalance_timeout_has_the_session_timeout_for_it() -> None:
    old = MemberMetadata(
        member_id="m",
        client_id="c",
        client_host="/h",
        session_timeout=7_000,
        subscription=b"",
        assignment=b"",
    )
    (restored,) = recorded_members(value_of([old]))
    assert restored.rebalance_timeout_ms == 7_000
