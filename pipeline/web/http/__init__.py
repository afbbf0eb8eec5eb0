"""HTTP itself: connections, routes, serving, problem documents, the OpenAPI document."""
