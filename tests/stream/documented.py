"""Requests made from the OpenAPI document of a worker, and whether each answer is documented."""

import hypothesis
import schemathesis
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.errors import SchemathesisError
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pipeline.web.install import ROUTES

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def failures(address: str, token: str, mode: str) -> list[tuple[str, list[str]]]:
    """The operations that failed, each with its errors; `mode` is `positive` or `negative` requests."""
    generation = GenerationMode(mode)
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    headers = {"Authorization": f"Bearer {token}"}
    operations = [found.ok() for found in schema.get_all_operations()]
    # The document does not describe the route that returns it.
    assert {operation.label for operation in operations} == {
        f"{route.method} {route.path}" for route in ROUTES if route.name != "openapi"
    }
    # This operation ends the token that all others need.
    operations.sort(key=lambda operation: operation.label == "POST /token/revoke")
    found = []
    for operation in operations:
        try:
            _run(operation.as_strategy(generation_mode=generation), headers)
        except (Unsatisfiable, SchemathesisError):
            # An operation without parameters has no negative requests.
            if generation is GenerationMode.POSITIVE:
                raise
        except FailureGroup as group:
            found.append((operation.label, [str(error) for error in group.exceptions]))
    return found


def _run(strategy, headers):
    @hypothesis.given(case=strategy)
    @hypothesis.settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def ask(case):
        case.call_and_validate(headers=headers, checks=_CHECKS)

    ask()
