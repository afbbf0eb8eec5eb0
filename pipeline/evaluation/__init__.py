"""Records to verdicts: one evaluation for live records, replays and files."""
