"""Flagpost scores a Kafka stream of card transactions and commits each decision once."""

__version__ = "0.1.0"
