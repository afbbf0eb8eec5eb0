"""The event contract: which messages are valid, and the normal form of those that are."""
