from datetime import date

import pytest

from pipeline.jurisdictions.law_table import load_laws
from pipeline.jurisdictions.packaged import packaged_text

SMALL = """
as_of = 2026-01-31

[[law]]
id = "GDPR"
name = "General Data Protection Regulation"
where = { value = ["DE", "FR", "EU"], source = "art. 3" }
asks_consent = { value = true, source = "art. 6" }
missing_consent = { value = "HIGH", source = "art. 83" }
consent_age = { value = 16, source = "art. 8" }
grants_right = { value = true, source = "art. 17" }
deadline_days = { value = 30, source = "art. 12" }

[law.consent_ages]
DE = { value = 16, source = "art. 8" }
FR = { value = 15, source = "Loi 78-17" }
EU = { value = 16, source = "art. 8" }

[[law]]
id = "CITY"
name = "A law of one city"
where = { value = ["DE-BE"], source = "s. 1" }
asks_consent = { value = false, source = "s. 2" }
grants_right = { value = false, source = "s. 3" }
"""


def test_counsels_values_replace_the_packaged_ones():
    text = packaged_text("laws.toml").replace(
        'FR = { value = 15, source = "GDPR art. 8(1); national age: Loi n° 78-17 art. 45" }',
        'FR = { value = 14, source = "counsel, memorandum 7" }',
    )
    table = load_laws(text)
    assert [law.consent_age for law in table.laws_of("FR-75")] == [14]
    assert [law.consent_age for law in table.laws_of("DE")] == [16]


def test_a_table_is_looked_up_by_region():
    table = load_laws(SMALL)
    assert table.as_of == date(2026, 1, 31)
    assert [law.id for law in table.laws_of("DE-BE")] == ["CITY", "GDPR"]
    assert [law.id for law in table.laws_of("DE-BY")] == ["GDPR"]
    assert table.laws_of("NL") == ()
    assert table.in_eea("DE-BE")
    assert not table.in_eea("NL")
    assert table.gdpr_by_claim.consent_age == 16


def test_a_subdivisions_own_value_comes_before_its_countrys():
    table = load_laws(
        SMALL.replace('["DE", "FR", "EU"]', '["DE", "DE-BE", "FR", "EU"]').replace(
            "[law.consent_ages]", '[law.consent_ages]\nDE-BE = { value = 12, source = "s. 9" }'
        )
    )
    assert [(law.id, law.consent_age) for law in table.laws_of("DE-BE")] == [("CITY", None), ("GDPR", 12)]
    assert [law.consent_age for law in table.laws_of("DE-BY")] == [16]


def test_every_value_of_the_packaged_table_has_a_source():
    """A value without one would not load; this is about sources that say nothing."""
    for line in packaged_text("laws.toml").splitlines():
        if "source = " in line and not line.startswith("#"):
            source = line.rpartition('source = "')[2].rpartition('"')[0]
            assert len(source) >= len("APP 3"), line


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("as_of = 2026-01-31", "as_of = ", "laws: not TOML: "),
        ("as_of = 2026-01-31", "", "laws: as_of must be a date such as 2026-01-31, not None"),
        (
            "as_of = 2026-01-31",
            'as_of = "2026-01-31"',
            "laws: as_of must be a date such as 2026-01-31, not '2026-01-31'",
        ),
        ("as_of = 2026-01-31", "as_of = 2026-01-31T00:00:00Z", "laws: as_of must be a date"),
        (
            "as_of = 2026-01-31",
            "as_of = 2026-01-31\nlaws = 1",
            "laws: unknown key 'laws'; known are as_of and law",
        ),
        ('id = "CITY"', 'id = "GDPR"', "laws: law GDPR stands twice"),
        ('id = "GDPR"', 'id = "GDRP"', "laws: the law GDPR is missing"),
        ('id = "CITY"', "id = 7", "laws: law number 2: id must be a text, not 7"),
        ('name = "A law of one city"', "", "laws: law CITY: name must be a text, not None"),
        (
            'name = "A law of one city"',
            'name = "x"\nfine = 1',
            "laws: law CITY: unknown key 'fine'; known are ",
        ),
        ('asks_consent = { value = false, source = "s. 2" }', "", "laws: law CITY: asks_consent is missing"),
        (
            '{ value = false, source = "s. 2" }',
            "false",
            "laws: law CITY: asks_consent: must be { value = ..., source",
        ),
        ('{ value = false, source = "s. 2" }', "{ value = false }", "laws: law CITY: asks_consent: must be"),
        ('source = "s. 2"', 'source = " "', "laws: law CITY: asks_consent: source must say where"),
        (
            '{ value = false, source = "s. 2" }',
            '{ value = 0, source = "s. 2" }',
            "laws: law CITY: asks_consent: value must be true or false, not 0",
        ),
        (
            '{ value = false, source = "s. 2" }',
            '{ value = true, source = "s. 2" }',
            "laws: law CITY: missing_consent must be given exactly where asks_consent is true",
        ),
        (
            'value = "HIGH"',
            'value = "LOW"',
            "laws: law GDPR: missing_consent: value must be MEDIUM or HIGH, not 'LOW'",
        ),
        (
            'consent_age = { value = 16, source = "art. 8" }',
            'consent_age = { value = "16", source = "art. 8" }',
            "laws: law GDPR: consent_age: value must be a whole number from 1 to 130, not '16'",
        ),
        (
            "value = 30",
            "value = 0",
            "laws: law GDPR: deadline_days: value must be a whole number from 1 to 3650, not 0",
        ),
        ("value = 30", "value = true", "laws: law GDPR: deadline_days: value must be a whole number"),
        ("value = 15", "value = 15.5", "laws: law GDPR: consent_ages: FR: value must be a whole number"),
        ('FR = { value = 15, source = "Loi 78-17" }', "", "laws: law GDPR: consent_ages: FR is missing"),
        (
            "FR = { value",
            "IT = { value",
            "laws: law GDPR: consent_ages: IT is not one of the places in where",
        ),
        ('["DE-BE"]', '"DE-BE"', "laws: law CITY: where: value must be a list of regions, not 'DE-BE'"),
        ('["DE-BE"]', "[]", "laws: law CITY: where: value must be a list of regions, not []"),
        ('["DE-BE"]', "[1]", "laws: law CITY: where: value must be a list of regions, not [1]"),
        ('["DE-BE"]', '["de-be"]', "laws: law CITY: where: 'de-be' is not a region in normal form"),
        ('["DE-BE"]', '["US-PR"]', "laws: law CITY: where: 'US-PR' is not a region in normal form"),
        ('["DE-BE"]', '["Germany"]', "laws: law CITY: where: 'Germany' is not a region in normal form"),
        ('["DE-BE"]', '["UK"]', "laws: law CITY: where: 'UK' has no assigned country"),
        ('["DE-BE"]', '["DE-BE", "DE-BE"]', "laws: law CITY: where: a region stands twice"),
    ],
)
def test_a_bad_table_is_refused_by_name(old, new, message):
    assert SMALL.count(old) >= 1
    with pytest.raises(ValueError, match=r"^laws: ") as refused:
        load_laws(SMALL.replace(old, new, 1))
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["as_of = 2026-01-31", "as_of = 2026-01-31\nlaw = []", "as_of = 2026-01-31\nlaw = [1]"]
)
def test_a_table_without_laws_is_refused(text):
    with pytest.raises(ValueError, match=r"^laws: there must be at least one \[\[law\]\]$"):
        load_laws(text)


def test_ages_must_be_a_table():
    with pytest.raises(ValueError, match=r"^laws: law CITY: consent_ages must be a table of places$"):
        load_laws(SMALL + "consent_ages = 3\n")
