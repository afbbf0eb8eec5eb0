"""Exactly-once delivery for Faust: batches, write-behind tables, one commit for outputs, state and source offsets.

Faust's agents, web server and command line stay as they are. This package replaces what moves records, through Faust's
own extension points. The consumer hands out whole fetched batches, a table keeps its changes in memory until the
commit, and a commit writes outputs, changed keys and source offsets in one transaction. A reader of committed records
sees each output exactly once.

    app = DeliveryApp("my-app", client_options={"bootstrap_servers": "127.0.0.1:9092"}, transactional=True,
                      topic_partitions={"out": 8})
    table = WriteBehindTable(app, name="counts", codec=codec, topics=["in"], partitions=8)

    @app.agent(table.source)
    async def count(batches):
        async for batch in batches:
            await table.process(batch, handle, poison)

The rooms, from the bottom up: `state` (one partition in memory, on disk and on its changelog), `commit` (the steps of a
commit), `flow` (from fetched records to processed ones), `assignment` (ownership, recovery, watching the topics),
`plugin` (what replaces Faust's parts). `runtime.py` says what they may ask of the application.

The package knows nothing of what it delivers, and could be published on its own.
"""
