"""The table of the title agent: figures of titles, devices, regions, plans and rules.

The table's name and the form of its keys are persisted identity. A key is

* `s`, a dimension, a colon and an id: the `Figures` of one subject;
* `p` alone: the `TitlesPartition`;
* `r` alone: the rule set in force, `InForce`;
* `x`, an hour, a point and a number: a `SeenSubjects`, subjects that had an event in that hour.

The engine uses the keys, and it must not import this package. So `pipeline/titles/state.py` makes them.
"""

from typing import Final

from pipeline.titles.figures import Figures
from pipeline.titles.rows import NUMBERS, ROW_BYTES
from pipeline.titles.state import SeenSubjects, TitlesPartition, TitlesValue
from tables.forms import Form, Forms, Kind, WireError
from tables.risk import RULES_FORM

TABLE_NAME: Final = "titles-v1"
VERSION: Final = 1
_FORMS: Final = Forms(
    "titles",
    Form(Kind.FIGURES, VERSION, Figures, "titles"),
    Form(Kind.TITLES_PARTITION, VERSION, TitlesPartition, "titles"),
    Form(Kind.SEEN, VERSION, SeenSubjects, "titles"),
    RULES_FORM,
)


class TitlesCodec:
    """The forms of the table's values."""

    def encode(self, value: TitlesValue) -> bytes:
        """The bytes of a value; the same for the same state."""
        return _FORMS.encode(value)

    def decode(self, value: bytes) -> TitlesValue:
        """The value of bytes.

        Raises:
            WireError: this version of the program does not read their form.
        """
        found: TitlesValue = _FORMS.decode(value)
        if isinstance(found, Figures) and (len(found.past) != NUMBERS or len(found.rows) % ROW_BYTES):
            raise WireError("titles", value)
        return found
