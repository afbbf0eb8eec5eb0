"""A group member that is not one of our workers must not end the group's leader."""

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata

from pipeline.delivery.app import DeliveryApp


@pytest.fixture
def assignor():
    app = DeliveryApp(
        "app", client_options={"bootstrap_servers": "127.0.0.1:1"}, transactional=False, topic_partitions={}
    )
    return app.assignor


@pytest.mark.parametrize(
    "user_data", [b"", b"\xff", b"[]", b"null", b"{}", b'{"url": 1}', b"[" * 100_000, b'{"assignment": 7}']
)
def test_a_member_with_other_metadata_gets_no_partitions(assignor, caplog, user_data):
    topics = {"raw-events"}
    members = {
        "ours": assignor.metadata(topics),
        "foreign": ConsumerProtocolMemberMetadata(assignor.version, list(topics), user_data),
    }
    found = assignor.assign(ClusterMetadata(), members)
    assert set(found) == {"ours", "foreign"}
    assert found["foreign"].assignment == []
    assert "foreign of the consumer group is no worker" in caplog.text
    assignor.on_assignment(found["ours"])
