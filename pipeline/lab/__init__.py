"""For trying things out: the generator, the benchmark, and brokers on loopback. No product code needs it."""
