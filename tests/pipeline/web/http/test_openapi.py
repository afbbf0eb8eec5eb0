"""The OpenAPI document says what the table says."""

import json

from pipeline.web.http.openapi import document
from pipeline.web.install import ROUTES


async def test_the_document_has_every_route_with_its_guard(web):
    response = await web.client.get("/openapi.json")
    assert response.status == 200
    found = json.loads(document(ROUTES))
    assert await response.json() == found
    assert found["openapi"].startswith("3.1")
    for route in ROUTES:
        operation = found["paths"][route.path][route.method.lower()]
        assert operation["operationId"] == route.name
        assert set(operation["responses"]) == {str(status) for status in (route.status, *route.statuses)}
        assert operation.get("security") == (None if route.role == "public" else [{"password": [route.role]}])


def test_only_what_is_served_is_in_the_document():
    paths = json.loads(document([route for route in ROUTES if not route.demo]))["paths"]
    assert "/stats/summary" in paths
    assert "/stats/accounts" not in paths


def test_every_reference_leads_somewhere():
    found = json.loads(document(ROUTES))

    def references(node):
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    names = set(references(found))
    assert names
    for name in names:
        assert name.removeprefix("#/components/schemas/") in found["components"]["schemas"]
