"""Jurisdictions: the regions of the event contract, their laws, and where they lie on the globe.

The lowest layer: it imports nothing of this project. Its data are files beside the code, read once at import.
"""
