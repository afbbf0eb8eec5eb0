"""Alerts: verdicts that repeat, folded into one alert per subject and rule."""
