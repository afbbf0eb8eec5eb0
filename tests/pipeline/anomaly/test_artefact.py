"""A model file is read back as it was, or refused with one message."""

from hashlib import sha256

import msgspec
import pytest

from pipeline.anomaly.artefact import FORM, MAGIC, MAX_BYTES, ModelError, read_model, write_model
from pipeline.anomaly.shipped import shipped_model

HEAD = len(MAGIC) + 33


@pytest.fixture(scope="module")
def data(model):
    return write_model(model)


def tampered(data, change):
    """The file with a changed document, and a checksum that fits."""
    document = msgspec.msgpack.decode(data[HEAD:])
    change(document)
    body = msgspec.msgpack.encode(document)
    return MAGIC + bytes([FORM]) + sha256(body).digest() + body


def test_it_is_read_back_as_it_was(model, data, minutes):
    again = read_model(data, "m")
    assert write_model(again) == data
    assert again.version == model.version
    assert again.forest.paths(minutes.rows[:100]).tolist() == model.forest.paths(minutes.rows[:100]).tolist()


def test_the_version_is_made_of_the_content(model, data):
    other = tampered(data, lambda document: document.update(alert_below=model.alert_below + 1))
    assert read_model(other, "m").version != model.version


@pytest.mark.parametrize("length", [0, 7, 8, 9, 40])
def test_the_beginning_of_a_file_is_no_model(data, length):
    with pytest.raises(ModelError, match=r"^m: is not a model file"):
        read_model(data[:length], "m")


@pytest.mark.parametrize("missing", [1, 1_000])
def test_a_file_that_was_cut_off_is_refused(data, missing):
    with pytest.raises(ModelError, match=r"^m: its checksum does not fit: the file was cut off or changed"):
        read_model(data[:-missing], "m")


@pytest.mark.parametrize("place", [9, 40, 41, 500, -1])
def test_a_changed_byte_is_noticed(data, place):
    changed = bytearray(data)
    changed[place] ^= 1
    with pytest.raises(ModelError, match="checksum"):
        read_model(bytes(changed), "m")


def test_a_newer_form_is_named(data):
    newer = data[: len(MAGIC)] + bytes([FORM + 1]) + data[len(MAGIC) + 1 :]
    with pytest.raises(ModelError, match=f"has form {FORM + 1}, written by a newer version of ott"):
        read_model(newer, "m")


def test_a_huge_file_is_refused_before_it_is_parsed(data):
    with pytest.raises(ModelError, match="more than 900,000 bytes"):
        read_model(data + bytes(MAX_BYTES), "m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["features"].append("shoe_size"), r"another list of features \(shoe_size\)"),
        (lambda d: d["features"].reverse(), r"another list of features \(their order\)"),
        (lambda d: d["usual"].pop(), "what is usual"),
        (lambda d: d["usual"][0].update(median=float("nan")), "usual of 'events' is no distribution"),
        (lambda d: d["usual"][0]["shares"].pop(), "usual of 'events' is no distribution"),
        (lambda d: d["forest"].update(roots=b"\1\0\0\0"), "do not follow"),
        (lambda d: d["forest"].update(roots=b"\0"), "buffer size"),
        (lambda d: d["forest"].update(counted=10_000), "counts more trees"),
        (
            lambda d: d["forest"].update(feature=b"\x7f" + d["forest"]["feature"][1:]),
            "feature that does not exist",
        ),
        (lambda d: d.update(alert_below="0"), "Expected `int`"),
        (lambda d: d.update(alert_below=-(2**62)), "Expected `int` >= 0"),
        (lambda d: d["score"].update(shares=[-1.0] * len(d["score"]["shares"])), "score' is no distribution"),
        (lambda d: d["card"].update(data="x" * 1_001), "length <= 1000"),
        (lambda d: d["card"].update(alert_rate=float("nan")), "Expected `float` > 0.0"),
        (lambda d: d["score"].update(other=msgspec.Raw(b"\x91" * 500_000 + b"\xc0")), "recursion depth"),
        (lambda d: d.update(code="import os"), "unknown field"),
        (lambda d: d.pop("card"), "missing required field `card`"),
    ],
)
def test_a_document_that_does_not_fit_is_refused_though_its_checksum_does(data, change, message):
    with pytest.raises(ModelError, match=f"^m: .*{message}"):
        read_model(tampered(data, change), "m")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(features=[f"feature {number}" for number in range(50_000)]),
        lambda d: d["score"].update(name="x" * 500_000, shares=[]),
    ],
)
def test_a_message_about_a_file_is_short(data, change):
    with pytest.raises(ModelError) as refused:
        read_model(tampered(data, change), "m")
    assert len(str(refused.value)) < 1_000


def test_the_shipped_model_fits_this_version():
    model = shipped_model()
    assert model.card.alert_rate == 0.001
    assert "generated" in model.card.data


def test_nothing_in_a_file_is_a_pickle(data):
    assert b"sklearn" not in data
    assert not data.startswith(b"\x80")
