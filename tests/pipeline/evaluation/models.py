"""Files of models for tests: one tree of the shipped model, with cards that give each a version of its own."""

from functools import cache

import msgspec

from pipeline.anomaly.artefact import FORM, MAGIC, read_model, write_model
from pipeline.anomaly.forest import Forest
from pipeline.anomaly.shipped import shipped_model
from pipeline.evaluation.model_book import records_of


@cache
def model_file(name):
    """The version and the bytes of a model."""
    model = shipped_model()
    forest = model.forest
    nodes = slice(int(forest.roots[1]))
    tree = Forest(
        forest.feature[nodes],
        forest.threshold[nodes],
        forest.child[nodes],
        forest.roots[:1],
        1,
        forest.normal_path,
    )
    card = msgspec.structs.replace(model.card, data=name)
    data = write_model(msgspec.structs.replace(model, forest=tree, card=card))
    return read_model(data, name).version, data


def published(name):
    """Key and value of the records that put a model in force."""
    return records_of(*model_file(name), by="anna", at="2026-03-01T12:00:00.000Z")


def newer_form(data):
    """The file as a newer version of ott would write it."""
    return MAGIC + bytes((FORM + 1,)) + data[len(MAGIC) + 1 :]
