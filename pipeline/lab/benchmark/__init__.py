"""The benchmark: the worker and a hand-written loop judge the same events, and are measured from outside."""
