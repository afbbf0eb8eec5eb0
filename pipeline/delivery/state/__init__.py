"""The state of one partition: in memory, in RocksDB, and on its changelog."""
