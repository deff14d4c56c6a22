from minikafka.cluster.metadata import BrokerInfo, MetadataCache, PartitionState, TopicMetadata

STATE = PartitionState(1, 0, (1,), (1,))


def test_a_topic_is_found_by_name_and_by_id():
    cache = MetadataCache()
    topic = TopicMetadata("t", b"i" * 16, (STATE,))
    cache.put_topic(topic)
    assert cache.topic("t") is cache.topic_by_id(b"i" * 16) is topic
    assert cache.topic_name(b"i" * 16) == "t"
    assert list(cache.topics) == [topic]


def test_a_topic_made_again_is_not_found_by_its_old_id():
    cache = MetadataCache()
    cache.put_topic(TopicMetadata("t", b"1" * 16, (STATE,)))
    cache.put_topic(TopicMetadata("t", b"2" * 16, (STATE,)))
    assert cache.topic_by_id(b"1" * 16) is None
    assert cache.topic_name(b"2" * 16) == "t"


def test_a_removed_topic_is_found_no_more():
    cache = MetadataCache()
    cache.put_topic(TopicMetadata("t", b"1" * 16, (STATE,)))
    cache.remove_topic("t")
    cache.remove_topic("t")
    assert cache.topic("t") is None
    assert cache.topic_name(b"1" * 16) is None


def test_a_partition_is_found_within_its_topic_only():
    cache = MetadataCache()
    cache.put_topic(TopicMetadata("t", b"1" * 16, (STATE,)))
    assert cache.partition("t", 0) is STATE
    assert cache.partition("t", 1) is None
    assert cache.partition("t", -1) is None
    assert cache.partition("u", 0) is None


def test_brokers_are_replaced_together():
    cache = MetadataCache()
    cache.replace_brokers([BrokerInfo(1, {}), BrokerInfo(2, {})])
    cache.replace_brokers([BrokerInfo(2, {})])
    assert [broker.broker_id for broker in cache.brokers] == [2]
    assert cache.broker(1) is None


def test_topics_know_what_they_are():
    assert TopicMetadata("__consumer_offsets", b"", ()).is_internal
    assert not TopicMetadata("orders", b"", ()).is_internal
    assert TopicMetadata("t", b"", (PartitionState(1, 0, (1,), (1, 2)),)).replication_factor == 2
    assert TopicMetadata("t", b"", ()).replication_factor == 0
    assert STATE.has_leader
    assert not PartitionState(-1, 0, (), (1,)).has_leader
