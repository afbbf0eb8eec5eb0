"""Judges a file of records with the same evaluation as the live agents. `ott judge` calls it."""
