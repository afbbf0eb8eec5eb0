"""The causes of a score point at what was made odd, in words."""

import numpy as np
import pytest

from pipeline.anomaly.explanation import causes_of, evidence_of, in_words
from pipeline.anomaly.features import FEATURE_NAMES, FEATURES
from pipeline.windows.score import Cause


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_the_feature_of_a_constructed_outlier_is_named_first(model, name):
    column = FEATURE_NAMES.index(name)
    row = np.array([usual.median for usual in model.usual], dtype=np.float32)
    row[column] = 60
    path = int(model.forest.paths(row[None, :])[0])
    causes = causes_of(model, row, path)
    assert FEATURE_NAMES[causes[0].feature] == name
    assert causes[0].moved > 0
    assert causes[0].value == 60


def test_two_odd_features_are_both_named(model):
    row = np.array([usual.median for usual in model.usual], dtype=np.float32)
    chosen = {FEATURE_NAMES.index("titles"), FEATURE_NAMES.index("login_failures")}
    row[list(chosen)] = 60
    causes = causes_of(model, row, int(model.forest.paths(row[None, :])[0]))
    assert chosen <= {cause.feature for cause in causes}
    assert len(causes) <= 3


def test_a_row_without_any_cause_still_names_its_strongest(model):
    row = np.array([usual.median for usual in model.usual], dtype=np.float32)
    assert len(causes_of(model, row, int(model.forest.paths(row[None, :])[0]))) == 1


def test_values_and_what_is_usual_are_said(model):
    titles = FEATURE_NAMES.index("titles")
    usual = model.usual[titles]
    said = in_words(model, (Cause(titles, 38.0, 1),))
    assert (
        said
        == f"The hour is unusual: 38 titles in an hour (99 % of scored hours have at most {usual.high:.0f})."
    )
    assert "at least" in in_words(model, (Cause(titles, usual.low - 1, 1),))
    assert "half of the scored hours" in in_words(model, (Cause(titles, usual.median, 1),))


def test_the_evidence_holds_names_values_and_what_is_usual(model):
    column = FEATURE_NAMES.index("gap_variation")
    evidence = evidence_of(model, (Cause(column, 2.34567, 1),))
    usual = model.usual[column]
    assert evidence == [
        {
            "feature": "gap_variation",
            "value": 2.35,
            "median": round(usual.median),
            "p1": round(usual.low),
            "p99": round(usual.high),
        }
    ]
    assert FEATURES[column].name == "gap_variation"
