"""The network: frames in, answers out, for the side that listens and the side that dials."""
