from __future__ import annotations

from minikafka.storage.transaction_verification import Verifications


def test_a_guard_is_of_one_producer_until_its_transaction_has_a_batch_or_an_end() -> None:
    verifications = Verifications()
    first = verifications.begin(1, 0, 5, bumps_epochs=False, now_ms=0)
    assert verifications.begin(1, 0, 5, bumps_epochs=False, now_ms=1) is first
    assert verifications.begin(2, 0, 5, bumps_epochs=False, now_ms=1) is not first
    verifications.end(1)
    assert verifications.get(1) is None
    assert verifications.begin(1, 0, 5, bumps_epochs=False, now_ms=2) is not first


def test_the_lowest_sequence_number_of_the_newest_epoch_is_kept() -> None:
    verifications = Verifications()
    for epoch, sequence in ((1, 5), (1, 3), (1, 9), (0, 1)):
        verifications.begin(7, epoch, sequence, bumps_epochs=False, now_ms=0)
    kept = verifications.get(7)
    assert kept is not None
    assert (kept.epoch, kept.lowest_sequence) == (1, 3)
    verifications.begin(7, 2, 8, bumps_epochs=False, now_ms=0)
    assert (kept.epoch, kept.lowest_sequence) == (2, 8)


def test_what_was_never_written_is_forgotten_in_the_end() -> None:
    verifications = Verifications()
    verifications.begin(1, 0, 0, bumps_epochs=False, now_ms=10)
    verifications.begin(2, 0, 0, bumps_epochs=False, now_ms=11)
    verifications.expire(10)
    assert verifications.get(1) is None
    assert verifications.get(2) is not None
