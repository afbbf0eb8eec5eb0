"""The parts that replace Faust's own: consumer, transport, table manager."""
