"""Risk and compliance judgement on OTT and Smart TV telemetry."""

__version__ = "0.1.0"
