"""Faust's assignor, protected against group members that are not Faust workers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from faust.assignor.partition_assignor import PartitionAssignor

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from aiokafka.cluster import ClusterMetadata

_LOG: Final = logging.getLogger(__name__)


class Assignor(PartitionAssignor):
    """Gives no partitions to a member whose metadata is not that of a Faust worker.

    Faust's own assignor fails on such metadata, which would end the worker that leads the group.
    """

    def _perform_assignment(
        self, cluster: ClusterMetadata, member_metadata: Mapping[str, Any]
    ) -> MutableMapping[str, ConsumerProtocolMemberAssignment]:
        foreign = [member for member, metadata in member_metadata.items() if not self._can_read(metadata)]
        ours = {member: data for member, data in member_metadata.items() if member not in foreign}
        found: MutableMapping[str, ConsumerProtocolMemberAssignment] = super()._perform_assignment(
            cluster, ours
        )
        for member in foreign:
            _LOG.warning(
                "the member %s of the consumer group is no worker of this application, and gets no partitions; "
                "find out who joined the group, and allow only the workers to (docs/operations.md)",
                member,
            )
            found[member] = ConsumerProtocolMemberAssignment(self.version, [], b"")
        return found

    def _can_read(self, metadata: Any) -> bool:
        try:
            return isinstance(self._get_client_metadata(metadata).url, str)
        except Exception:  # noqa: BLE001 - another member wrote it, so reading it may raise anything
            return False
