from __future__ import annotations

from collections.abc import Iterator

import pytest

from minikafka.cli.for_now import settings_for_now
from minikafka.errors import InvalidConfig
from minikafka_client.admin.types import ConfigResource, ConfigSource, NewTopic
from minikafka_client.sync import Admin


@pytest.fixture
def admin(bootstrap: str, topic: str) -> Iterator[Admin]:
    with Admin(bootstrap) as admin:
        admin.create_topics([NewTopic(topic, 1, 1, {"retention.ms": "1234"})])
        yield admin


def settings_of(admin: Admin, topic: str) -> dict[str, str | None]:
    resource = ConfigResource.topic(topic)
    entries = admin.describe_configs([resource])[resource]
    return {name: entry.value for name, entry in entries.items() if entry.source is ConfigSource.DYNAMIC_TOPIC}


def test_settings_hold_within_the_block_and_what_was_there_comes_back(
    admin: Admin, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with settings_for_now(admin, topic, {"retention.ms": "1", "segment.ms": "5"}):
        assert settings_of(admin, topic) == {"retention.ms": "1", "segment.ms": "5"}
    assert settings_of(admin, topic) == {"retention.ms": "1234"}
    assert capsys.readouterr().err == f"{topic}: retention.ms=1 segment.ms=5, for now\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_they_come_back_whatever_happens_in_the_block(admin: Admin, topic: str, error: type[BaseException]) -> None:
    with pytest.raises(error), settings_for_now(admin, topic, {"retention.ms": "1"}):
        raise error
    assert settings_of(admin, topic) == {"retention.ms": "1234"}


def test_settings_that_the_broker_does_not_take_change_nothing(admin: Admin, topic: str) -> None:
    with pytest.raises(InvalidConfig), settings_for_now(admin, topic, {"retention.ms": "soon"}):
        raise AssertionError("not reached")
    assert settings_of(admin, topic) == {"retention.ms": "1234"}
