"""`ott model` as a person uses it: train, show, evaluate, and what is refused."""

import json

import pytest

from pipeline.anomaly.artefact import MAX_BYTES


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A generated day with its truth."""
    from pipeline.cli import run  # noqa: PLC0415 - in this process, once for all tests

    folder = tmp_path_factory.mktemp("day")
    events, labels = folder / "events.jsonl", folder / "truth.jsonl"
    options = (
        "--events 14000 --users 300 --seed 2 --duration 12h --until 2026-03-01T12:00:00Z --stories quiet"
    )
    assert run(["generate", *options.split(), "--output", str(events), "--labels", str(labels)]) == 0
    return events, labels


@pytest.fixture(scope="module")
def trained(day, tmp_path_factory):
    from pipeline.cli import run  # noqa: PLC0415 - as above

    out = tmp_path_factory.mktemp("model") / "m.ottmodel"
    arguments = ["model", "train", str(day[0]), "--out", str(out), "--trees", "40", "--samples", "512"]
    assert run([*arguments, "--alert-rate", "0.01"]) == 0
    return out


def test_a_trained_model_shows_its_card_and_features(ott, trained):
    done = ott("model", "show", str(trained))
    assert done.returncode == 0
    assert "alert rate: 0.01" in done.stdout
    assert "judged events of the file events.jsonl" in done.stdout
    assert "  titles [titles] " in done.stdout


def test_the_card_in_json(ott, trained):
    shown = json.loads(ott("model", "show", str(trained), "--json").stdout)
    assert shown["parameters"] == {"seed": 1, "trees": 40, "counted": 5, "samples": 512, "columns": 5}
    assert {"name", "unit", "meaning", "median", "p1", "p99"} == set(shown["features"][0])


def test_without_a_file_the_shipped_model_is_shown(ott):
    done = ott("model", "show")
    assert done.returncode == 0
    assert "generated" in done.stdout


@pytest.mark.slow
@pytest.mark.essential
def test_a_model_is_measured_against_labels(ott, day, trained):
    done = ott("model", "evaluate", str(day[0]), "--labels", str(day[1]), "--model", str(trained), "--json")
    report = json.loads(done.stdout)
    assert report["pr_auc"] > 3 * report["misuse"]
    assert report["stories"]["viewer"]["misuse"] is False
    assert report["stories"]["slow_stuffing"]["misuse"] is True
    assert sum(story["minutes"] for story in report["stories"].values()) == report["minutes"]
    words = ott("model", "evaluate", str(day[0]), "--labels", str(day[1]), "--model", str(trained)).stdout
    assert f"PR-AUC {report['pr_auc']:.3f}" in words


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a model file"),
        (b"\x80\x04cos\nsystem\n", "is not a model file"),
        (bytes(MAX_BYTES + 1), "has more than 900,000 bytes"),
    ],
    ids=["empty", "a pickle", "huge"],
)
def test_what_is_no_model_is_refused_in_one_line(ott, tmp_path, content, message):
    (tmp_path / "m").write_bytes(content)
    done = ott("model", "show", "m")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"ott: m: {message}")
    assert done.stderr.count("\n") == 1


def test_a_model_that_was_cut_off_is_refused(ott, trained, tmp_path):
    (tmp_path / "m").write_bytes(trained.read_bytes()[:-10])
    done = ott("model", "show", "m")
    assert done.returncode == 2
    assert "its checksum does not fit" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["model", "show", "nothing"], 3, "ott: the model nothing cannot be read: No such file"),
        (["model", "train", "nothing", "--out", "m"], 3, "ott: nothing: No such file"),
        (["model", "evaluate"], 2, "ott: give a FILE and its --labels, or --table"),
        (["model", "evaluate", "f", "--labels", "l", "--table"], 2, "ott: --table makes its own data"),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_named(ott, arguments, status, message):
    done = ott(*arguments)
    assert done.returncode == status
    assert message in done.stderr


def test_too_little_data_is_named_with_the_file(ott, tmp_path):
    (tmp_path / "events.jsonl").write_text("", encoding="utf-8")
    done = ott("model", "train", "events.jsonl", "--out", "m")
    assert (done.returncode, (tmp_path / "m").exists()) == (2, False)
    assert "ott: events.jsonl: 0 scored minutes are too few to train on" in done.stderr


@pytest.mark.slow
@pytest.mark.essential
def test_labels_of_other_data_are_refused(ott, day, tmp_path):
    (tmp_path / "l").write_text('{"label":"user","id":"somebody","kind":"viewer"}\n', encoding="utf-8")
    done = ott("model", "evaluate", str(day[0]), "--labels", "l")
    assert done.returncode == 2
    assert "the labels do not name" in done.stderr


@pytest.mark.slow
@pytest.mark.essential
def test_labels_that_are_none_are_refused(ott, day, tmp_path):
    (tmp_path / "l").write_text("user\n", encoding="utf-8")
    done = ott("model", "evaluate", str(day[0]), "--labels", "l")
    assert done.returncode == 2
    assert "holds no labels" in done.stderr
