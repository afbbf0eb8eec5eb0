"""What all workers of an application share through compacted topics: rule sets, pauses, keys."""
