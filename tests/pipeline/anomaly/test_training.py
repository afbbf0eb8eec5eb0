"""Training repeats itself, keeps users and times apart, and alerts as often as it was asked to."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline.anomaly.artefact import ModelError, write_model
from pipeline.anomaly.features import FEATURES
from pipeline.anomaly.forest import LEAF
from pipeline.anomaly.training import TrainingError, grow, train
from tests.pipeline.anomaly.conftest import PARAMETERS, made_up_minutes


def test_the_same_seed_and_data_give_the_same_bytes(model, minutes):
    assert write_model(train(minutes, PARAMETERS, "made-up rows")) == write_model(model)


def test_another_seed_gives_another_model(model, minutes):
    assert train(minutes, replace(PARAMETERS, seed=4), "made-up rows").version != model.version


def test_users_and_times_are_kept_apart(minutes):
    fitting, calibrating = minutes.split()
    users = np.array(minutes.users)
    assert set(users[fitting]).isdisjoint(users[calibrating])
    assert minutes.minutes[fitting].max() <= minutes.minutes[calibrating].min()
    assert len(fitting) > len(calibrating) > 500


def test_a_user_falls_on_the_same_side_in_all_data(minutes):
    more = made_up_minutes(seed=2)
    sides = dict(zip(minutes.users, minutes.held_out.tolist(), strict=True))
    assert all(
        sides.get(user, held) == held for user, held in zip(more.users, more.held_out.tolist(), strict=True)
    )


def test_as_many_alert_as_were_asked_for(model, minutes):
    _, calibrating = minutes.split()
    alerts = model.forest.paths(minutes.rows[calibrating]) < model.alert_below
    assert alerts.sum() <= 0.01 * len(calibrating)
    assert alerts.sum() >= 0.005 * len(calibrating)


def test_the_card_says_what_was_done(model):
    card = model.card
    assert card.parameters == {"seed": 3, "trees": 60, "counted": 6, "samples": 256, "columns": 5}
    assert set(card.libraries) == {"scikit-learn", "numpy"}
    assert card.data == "made-up rows"
    assert "Age and consent are not read" in card.left_out


@pytest.mark.parametrize(
    ("count", "change", "message"),
    [
        (999, {}, "999 scored minutes are too few to train on; at least 1,000"),
        (6_000, {"alert_rate": 0.0001}, "too few for an alert rate of 0.0001; give 10,000 or more"),
        (1_500, {"samples": 2_048}, "fewer than a sample of 2,048"),
        (6_000, {"alert_rate": 0.0}, "an alert rate of 0.0 is no share"),
    ],
)
def test_too_little_data_is_named(count, change, message):
    with pytest.raises(TrainingError, match=message):
        train(made_up_minutes(count), replace(PARAMETERS, **change), "too little")


def test_every_feature_is_looked_at_by_the_same_number_of_trees(minutes):
    forest = grow(minutes.rows, replace(PARAMETERS, trees=36, columns=5))
    ends = [*forest.roots[1:].tolist(), len(forest.feature)]
    looked_at = Counter(
        feature
        for first, end in zip(forest.roots.tolist(), ends, strict=True)
        for feature in set(forest.feature[first:end].tolist()) - {LEAF}
    )
    assert set(looked_at) == set(range(len(FEATURES)))
    # 36 trees of 5 features each go through all 30 features six times; made-up rows have no feature without a split.
    assert set(looked_at.values()) == {6}


@pytest.mark.slow
@pytest.mark.essential
def test_a_forest_that_is_too_large_is_refused():
    with pytest.raises((TrainingError, ModelError), match="fewer trees"):
        train(made_up_minutes(4_000), replace(PARAMETERS, trees=900, samples=1_024), "much")
