"""Kafka as seen from outside of a consumer group: brokers, topics, and the follower of topics."""
