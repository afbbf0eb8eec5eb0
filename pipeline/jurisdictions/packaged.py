"""The data files beside this package's code."""

from importlib import resources


def packaged_text(name: str) -> str:
    """The text of a packaged data file, e.g. `laws.toml`.

    Raises:
        FileNotFoundError: the package was installed without the file.
    """
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
