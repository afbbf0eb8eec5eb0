"""The views: one module for each first part of a path, with its routes, answer models and handlers."""
