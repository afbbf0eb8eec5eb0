"""For trying things out: the generator, the benchmark, brokers on loopback, and the demo. No product code needs it."""
