"""The verdict index: the newest verdicts of the whole stream in a SQLite file on each worker.

`index` is the service: it fills the file from Kafka, and answers the web views. `store` makes the file, `writer` writes
to it, `queries` reads from it. `pages` and `summary` are the values that go in and out.
"""
