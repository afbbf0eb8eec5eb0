"""Alerting: verdicts folded into one living alert per subject and rule."""
