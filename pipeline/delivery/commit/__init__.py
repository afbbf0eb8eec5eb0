"""The commit: from the snapshot of a partition to the acknowledged transaction."""
