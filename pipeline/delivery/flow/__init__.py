"""The way of records through a worker: reading bytes, batches, alignment in time, the gate, processing, progress."""
