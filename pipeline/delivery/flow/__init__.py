"""The way of records: batches, their order in time, the gate, processing, forwarding."""
