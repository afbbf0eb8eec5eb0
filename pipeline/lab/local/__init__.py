"""Brokers on loopback: the embedded one (Tansu) and a real Apache Kafka."""
