"""The other workers: asking them, and what workers prove to each other."""
