"""Delivery for Faust: batches in, write-behind tables, one commit for outputs, state and source offsets.

Faust's agents, web server and command line stay as they are. What is replaced, through Faust's own extension points,
is what moves records: the consumer hands out whole fetched batches, the table keeps its changes in memory until the
commit, and the commit writes outputs, changed keys and the offsets of the source together. With transactions a
reader of committed records sees everything exactly once; without them at least once, with the same bytes.

    app = DeliveryApp("my-app", client_options={"bootstrap_servers": "127.0.0.1:9092"}, transactional=True,
                      topic_partitions={"out": 8})
    table = WriteBehindTable(app, name="counts", codec=codec, topics=["in"], partitions=8)

    @app.agent(table.source)
    async def count(batches):
        async for batch in batches:
            await table.process(batch, handle, poison)

The package knows nothing of what is delivered, and could be published apart.
"""
