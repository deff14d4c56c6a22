"""Projects of others, whose pytest finds the plugin because minikafka is installed."""

from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

INI = """
[pytest]
filterwarnings =
    error
    ignore:(read_text|open_text) is:DeprecationWarning
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

# How programs produce and consume, by the library that they use.
PROGRAMS = {
    "sdk": """
        from minikafka_client import Consumer, Producer

        async def produce(address, topic, *values):
            with Producer(address) as producer:
                for value in values:
                    producer.send(topic, value)

        async def consume(address, topic, group, count):
            values = []
            with Consumer(address, topics=[topic], group_id=group, auto_offset_reset="earliest") as consumer:
                while len(values) < count:
                    values += [message.value for message in consumer.poll(timeout_ms=100)]
                consumer.commit()
            return values
        """,
    "confluent-kafka": """
        from confluent_kafka import Consumer, Producer

        async def produce(address, topic, *values):
            producer = Producer({"bootstrap.servers": address})
            for value in values:
                producer.produce(topic, value)
            producer.flush()

        async def consume(address, topic, group, count):
            values = []
            consumer = Consumer({"bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest"})
            consumer.subscribe([topic])
            while len(values) < count:
                values += [message.value() for message in consumer.consume(count, timeout=0.1)]
            consumer.commit(asynchronous=False)
            consumer.close()
            return values
        """,
    "kafka-python": """
        from kafka import KafkaConsumer, KafkaProducer

        async def produce(address, topic, *values):
            producer = KafkaProducer(bootstrap_servers=address)
            for value in values:
                producer.send(topic, value)
            producer.close()

        async def consume(address, topic, group, count):
            values = []
            consumer = KafkaConsumer(topic, bootstrap_servers=address, group_id=group, auto_offset_reset="earliest")
            while len(values) < count:
                for messages in consumer.poll(timeout_ms=100).values():
                    values += [message.value for message in messages]
            consumer.commit()
            consumer.close()
            return values
        """,
    "aiokafka": """
        from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

        async def produce(address, topic, *values):
            async with AIOKafkaProducer(bootstrap_servers=address) as producer:
                for value in values:
                    await producer.send(topic, value)

        async def consume(address, topic, group, count):
            values = []
            consumer = AIOKafkaConsumer(topic, bootstrap_servers=address, group_id=group, auto_offset_reset="earliest")
            async with consumer:
                while len(values) < count:
                    for messages in (await consumer.getmany(timeout_ms=100)).values():
                        values += [message.value for message in messages]
                await consumer.commit()
            return values
        """,
}


@pytest.fixture
def project(pytester, monkeypatch):
    """A project of somebody else, to be run with its tests, options for pytest, and further modules."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini(INI)

    def run(tests, *options, **modules):
        pytester.makepyfile(test_project=tests, **modules)
        return pytester.runpytest_subprocess(
            "-p", "minikafka", "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider", *options, timeout=90
        )

    return run


def test_pytest_finds_the_plugin_by_itself():
    (found,) = entry_points(group="pytest11", name="minikafka")
    assert found.value == "minikafka.testing.pytest_plugin"


def test_each_test_has_a_broker_for_itself(project):
    done = project(
        """
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_orders(minikafka, number):
            minikafka.topic("orders")
            assert minikafka.records("orders") == []
            with minikafka.assert_produces("orders", "tea"):
                minikafka.produce("orders", "tea")
            minikafka.restart()
            assert len(minikafka.records("orders")) == 1
        """
    )
    done.assert_outcomes(passed=3)


def test_a_failure_points_at_the_test_and_shows_the_difference(project):
    done = project(
        """
        def test_orders(minikafka):
            with minikafka.assert_produces("orders", "tea", "cake"):
                minikafka.produce("orders", "tea", "coffee")
        """
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "E  *AssertionError: orders: 2 messages expected, 2 received",
            "E  *  - b'cake'",
            "E  *  + b'coffee'    partition 0, offset 1",
            "test_project.py:2: AssertionError",
        ]
    )
    assert "expectation.py" not in done.stdout.str()


@pytest.mark.parametrize("library", PROGRAMS)
def test_programs_of_every_library_are_tested(project, library):
    done = project(
        """
        from program import consume, produce

        async def test_produce(minikafka):
            minikafka.topic("orders")
            async with minikafka.assert_produces("orders", b"tea", b"cake"):
                await produce(minikafka.bootstrap_servers, "orders", b"tea", b"cake")

        async def test_consume(minikafka):
            minikafka.topic("orders")
            assert minikafka.records("orders") == []
            minikafka.produce("orders", b"milk", b"rum")
            assert minikafka.lag("billing", "orders") == 2
            assert await consume(minikafka.bootstrap_servers, "orders", "billing", 2) == [b"milk", b"rum"]
            assert minikafka.lag("billing", "orders") == 0
        """,
        program=PROGRAMS[library],
    )
    done.assert_outcomes(passed=2)


def test_settings_come_from_the_project_and_from_markers(project, pytester):
    pytester.makeini(f"{INI}minikafka_config =\n    num.partitions=2\n    message.max.bytes = 5000\n")
    done = project(
        """
        import pytest
        from minikafka_client import Admin, ConfigResource

        def setting(broker, key):
            with Admin(broker.bootstrap_servers) as admin:
                node = ConfigResource.broker(1)
                return admin.describe_configs([node], keys=[key])[node][key].value

        pytestmark = pytest.mark.minikafka({"num.partitions": "3"})

        @pytest.mark.minikafka(config={"num.partitions": "4"})
        def test_the_nearest_marker_counts(minikafka):
            assert setting(minikafka, "num.partitions") == "4"
            assert setting(minikafka, "message.max.bytes") == "5000"

        def test_the_modules_marker_counts(minikafka):
            assert setting(minikafka, "num.partitions") == "3"

        def test_the_session_has_the_settings_of_the_project(minikafka_session):
            assert setting(minikafka_session, "num.partitions") == "2"
        """,
        "--strict-markers",
    )
    done.assert_outcomes(passed=3)


def test_wrong_settings_are_told(project, pytester):
    tests = """
        import pytest

        @pytest.mark.minikafka({"num.partition": "4"})
        def test_key(minikafka):
            pass

        @pytest.mark.minikafka(partitions=4)
        def test_marker(minikafka):
            pass
        """
    done = project(tests)
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(
        ["*ConfigError*num.partition*num.partitions*", "*TypeError*partitions*"], consecutive=False
    )
    pytester.makeini(f"{INI}minikafka_config = num.partitions: 2\n")
    project(tests).stdout.fnmatch_lines(["*'num.partitions: 2' is not of the form KEY=VALUE*"])


def test_a_session_shares_a_broker_that_other_fixtures_may_use(project):
    done = project(
        """
        import pytest

        @pytest.fixture(scope="module")
        def orders(minikafka_session):
            return minikafka_session.topic("orders")

        def test_one(minikafka_session, orders):
            minikafka_session.produce(orders, "a")
            assert minikafka_session.records(orders)

        def test_another(minikafka_session, minikafka, orders):
            assert minikafka_session.records("orders")
            assert minikafka_session.bootstrap_servers != minikafka.bootstrap_servers
        """
    )
    done.assert_outcomes(passed=2)


def test_processes_of_xdist_do_not_meet(project):
    done = project(
        """
        import pytest

        @pytest.mark.parametrize("number", range(20))
        def test_orders(minikafka, minikafka_session, number):
            minikafka.topic("orders")
            minikafka_session.topic(f"orders-{number}")
            with minikafka.assert_produces("orders", str(number)):
                minikafka.produce("orders", str(number))
        """,
        *["-p", "xdist.plugin", "-n2"],
    )
    done.assert_outcomes(passed=20)


def test_who_asks_for_no_broker_waits_for_none(project):
    done = project(
        """
        import sys

        def test_what_is_imported():
            imported = {name for name in sys.modules if name.split(".")[0] in ("minikafka", "minikafka_client")}
            assert imported == {"minikafka", "minikafka.testing", "minikafka.testing.pytest_plugin"}
        """
    )
    done.assert_outcomes(passed=1)


def test_the_fixtures_are_documented(project):
    done = project("", "--fixtures")
    done.stdout.fnmatch_lines(["minikafka -- *pytest_plugin.py*", "*A Kafka broker that this test has for itself*"])
    done.stdout.fnmatch_lines(["minikafka_session *session scope* -- *"])
    project("", "--markers").stdout.fnmatch_lines(["@pytest.mark.minikafka(config): settings*"])
