"""The verdict index: the newest verdicts of the whole stream, on this machine, to be looked through.

`query` and `summary` are what is asked and answered; `store` keeps it in SQLite; `index` fills it from Kafka.
"""
