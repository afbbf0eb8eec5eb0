"""Kafka seen from outside of a consumer group: the brokers, the topics, and following a topic."""
