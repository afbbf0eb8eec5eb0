"""Counts of titles, devices, regions, plans and rules: notes to rows, rows to figures, figures to level changes."""
