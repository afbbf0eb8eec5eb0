"""What the views ask of the worker that they run in."""

from collections.abc import Mapping
from typing import Protocol


class Standing(Protocol):
    """What the views ask of the worker."""

    def ready(self) -> bool:
        """Whether partitions are assigned and their tables recovered."""
        ...

    def counts(self) -> Mapping[str, int]:
        """The counts of this worker's partitions, summed (see `pipeline.evaluation.batch.count`)."""
        ...

    def lag(self) -> Mapping[str, int]:
        """Records that are not judged yet, by `topic-partition`."""
        ...
