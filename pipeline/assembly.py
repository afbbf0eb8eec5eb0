"""The evaluator, made from the settings: the worker, `ott judge` and the benchmark judge with the same one."""

from pathlib import Path

from pipeline import __version__
from pipeline.anomaly.artefact import MAX_BYTES, Model, ModelError, read_model
from pipeline.errors import MissingError, UsageError
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.pseudonyms import pseudonymiser
from pipeline.rules.inputs import shown_as_it_is
from pipeline.rules.ruleset import RuleSet, RuleSetError, built_in, parse_ruleset
from pipeline.settings.schema import Settings


def build_evaluator(settings: Settings) -> Evaluator:
    """Make the evaluator.

    Raises:
        MissingError: the file of the rule set cannot be read.
        UsageError: the rule set is not valid.
    """
    key = settings.pseudonym_key
    show = shown_as_it_is if key is None else pseudonymiser(key.get_secret_value().encode())
    return Evaluator(_ruleset(settings), __version__, show=show)


def model_bytes(path: Path) -> bytes:
    """The bytes of a file with an anomaly model, as far as a model may be long.

    Raises:
        MissingError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            # One byte more than allowed is enough to refuse a file of any size.
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MissingError(f"the model {path} cannot be read: {error.strerror}") from None


def parse_model(data: bytes, name: str) -> Model:
    """The anomaly model in the bytes of a file.

    Raises:
        UsageError: it is no model, or does not fit this version. The message begins with `name`.
    """
    try:
        return read_model(data, name)
    except ModelError as error:
        raise UsageError(str(error)) from None


def _ruleset(settings: Settings) -> RuleSet:
    if settings.rules is None:
        return built_in()
    try:
        text = settings.rules.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingError(f"the rule set {settings.rules} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the rule set {settings.rules} is not UTF-8 text") from None
    try:
        return parse_ruleset(text, str(settings.rules))
    except RuleSetError as error:
        raise UsageError(str(error)) from None
