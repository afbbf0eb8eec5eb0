"""The state of one user: a sliding hour of events, the last place, the privacy record, the privacy requests."""
