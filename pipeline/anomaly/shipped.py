"""The model that comes with the package. It was trained on generated data and knows no real viewers."""

from importlib import resources
from typing import Final

from pipeline.anomaly.artefact import Model, read_model

NAME: Final = "shipped.ottmodel"


def shipped_file() -> bytes:
    """The bytes of the shipped model.

    Raises:
        FileNotFoundError: the package was installed without the file.
    """
    return resources.files(__package__).joinpath(NAME).read_bytes()


def shipped_model() -> Model:
    """The shipped model.

    Raises:
        FileNotFoundError: as above.
        ModelError: the file does not fit this version.
    """
    return read_model(shipped_file(), NAME)
