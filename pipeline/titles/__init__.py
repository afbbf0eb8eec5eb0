"""Counts of titles, devices, regions, plans and rules, and the levels of titles and devices; live and in a file."""
