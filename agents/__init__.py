"""What happens to records: one agent per stream, which hands records to the pure core and writes its tables."""
