"""The state of one partition: in memory (unit), on disk (RocksDB) and on the changelog."""
