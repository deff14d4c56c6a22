"""Configuration: Kafka's keys, their types and defaults, and where a value came from."""
