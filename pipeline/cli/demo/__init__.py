"""The demo of `scripts/run`: broker, topics, worker and generator together, told in plain words."""
