"""The anomaly models that a replay can score with: those on `model-config`."""

from typing import NamedTuple

from pipeline.anomaly.artefact import Model, ModelError
from pipeline.errors import MissingError
from pipeline.evaluation.model_book import (
    IN_FORCE_KEY,
    NONE,
    publication_of,
    read_version,
    version_of_key,
)


class PublishedModels(NamedTuple):
    """What stands on `model-config`.

    Attributes:
        files: the bytes of the models by version.
        in_force: the publications, oldest first: when, in milliseconds since 1970, and the version; `NONE` for none.
    """

    files: dict[str, bytes]
    in_force: list[tuple[int, str]]

    def take(self, key: bytes | None, value: bytes | None, published: int) -> None:
        """Take a record of the topic, newer than all before. One that cannot be read changes nothing, as live."""
        version = version_of_key(key)
        if version is not None and value is not None:
            self.files[version] = value
        elif key == IN_FORCE_KEY:
            try:
                self.in_force.append((published, NONE if value is None else publication_of(value).version))
            except ModelError:
                return

    def of(self, version: str) -> Model | None:
        """The model of a version; None for `NONE`.

        Raises:
            MissingError: it is not there any more, or does not fit this program.
        """
        if version == NONE:
            return None
        data = self.files.get(version)
        if data is None:
            raise MissingError(
                f"the model {version} was in force in the range and is not on model-config any more, so the range "
                "cannot be judged as it was; score all of it with one model: --model FILE"
            )
        try:
            return read_version(data, version)
        except ModelError as error:
            raise MissingError(f"{error}; score all of the range with one model: --model FILE") from None
