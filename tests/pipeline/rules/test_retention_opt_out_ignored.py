"""`retention.opt_out_ignored`."""

import pytest

from pipeline.rules.retention_opt_out_ignored import OptOutIgnored
from pipeline.windows.privacy import NO_RECORD, Mark, PrivacyRecord
from tests.pipeline.rules.cases import NOW, event, opt_outs_of, said

LOWERED = OptOutIgnored(lower_unless_shared=True)
OPTED_OUT = PrivacyRecord(opt_out=Mark(NOW - 1, NOW - 1))
DELETED = PrivacyRecord(deletion=Mark(NOW - 1, NOW - 1))


def judged(privacy=NO_RECORD, rule=None, **changes):
    return (rule or OptOutIgnored()).judge(opt_outs_of(event(**changes), privacy=privacy))


@pytest.mark.parametrize("signal", ["do_not_track", "gpc", "deletion_requested"])
def test_a_signal_on_the_event_itself(signal):
    assert said(judged(**{signal: True})) == ("HIGH", ("GDPR",))
    assert judged(**{signal: False}) is None
    assert judged(**{signal: None}) is None


@pytest.mark.parametrize(("since", "fires"), [(NOW - 1, True), (NOW, False), (NOW + 1, False), (None, False)])
@pytest.mark.parametrize("mark", ["opt_out", "deletion"])
def test_a_mark_is_in_force_for_later_times(mark, since, fires):
    privacy = PrivacyRecord(**{mark: Mark(since, since, NOW - 9)})
    assert (judged(privacy) is not None) == fires


@pytest.mark.parametrize(
    ("region", "is_eu", "severity", "laws"),
    [
        ("NL", True, "HIGH", ("GDPR",)),
        ("US-CA", False, "HIGH", ("CCPA",)),
        ("US-CA", True, "HIGH", ("CCPA", "GDPR")),
        ("US", False, "MEDIUM", ()),
        ("US", True, "HIGH", ("GDPR",)),
        ("SG", False, "MEDIUM", ()),
        ("CA", False, "MEDIUM", ()),
        ("AU", False, "MEDIUM", ()),
        ("CH", False, "HIGH", ("FADP",)),
        ("JP", False, "HIGH", ("APPI",)),
        ("TH", False, "HIGH", ("PDPA-TH",)),
        ("ZZ", False, "MEDIUM", ()),
    ],
)
def test_high_where_a_law_grants_the_right(region, is_eu, severity, laws):
    assert said(judged(OPTED_OUT, region=region, is_eu=is_eu)) == (severity, laws)


@pytest.mark.parametrize(
    ("privacy", "changes", "severity"),
    [
        pytest.param(OPTED_OUT, {}, "MEDIUM", id="an opt-out, nothing shared"),
        pytest.param(OPTED_OUT, {"data_shared": "partial"}, "HIGH", id="an opt-out, something shared"),
        pytest.param(OPTED_OUT, {"region": "US", "is_eu": False}, "LOW", id="where no law grants it"),
        pytest.param(DELETED, {}, "HIGH", id="a deletion"),
        pytest.param(OPTED_OUT, {"deletion_requested": True}, "HIGH", id="both"),
        pytest.param(NO_RECORD, {"gpc": True}, "MEDIUM", id="a signal, nothing shared"),
    ],
)
def test_a_parameter_lowers_an_opt_out_while_nothing_is_shared(privacy, changes, severity):
    assert judged(privacy, LOWERED, **changes).severity == severity


def test_consent_does_not_change_it():
    assert judged(OPTED_OUT, has_consent=True).severity == "HIGH"


def test_evidence():
    privacy = PrivacyRecord(opt_out=OPTED_OUT.opt_out, deletion=DELETED.deletion)
    finding = judged(privacy, region="US-CA", is_eu=True, gpc=True)
    assert finding.evidence == {
        "signals": ["gpc"],
        "data_shared": "none",
        "region": "US-CA",
        "opted_out_since": "2026-01-31T20:14:59.999Z",
        "deletion_requested_since": "2026-01-31T20:14:59.999Z",
        "deletion_deadline_days": {"CCPA": 45, "GDPR": 30},
    }
    assert "asked for deletion" in finding.summary
