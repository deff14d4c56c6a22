"""Kafka's wire protocol: bytes to messages and back, with no socket, file or event loop in sight."""
