"""Jurisdictions: regions, their laws, and their positions on the globe.

This is the lowest layer: it imports nothing of this project. Its data are files beside the code, read once at import.
"""
