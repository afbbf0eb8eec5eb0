"""The commit of one unit: its steps, its transaction, and when it runs."""
