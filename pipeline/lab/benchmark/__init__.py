"""The benchmark: the real worker beside a hand-written loop, on the same events, measured from outside."""
