"""The one evaluation: live, replayed, or from a file."""
