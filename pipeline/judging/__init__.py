"""Judging a file of records with the evaluation of the live agent."""
