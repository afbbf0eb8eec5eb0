"""The first bytes of persisted records."""

from tables.forms import Kind


def test_the_letters_of_kinds_are_persisted_and_stay_as_they_are():
    assert "".join(map(chr, Kind)) == "UPRQSMFTXABC"
