"""Looking after topics, their configuration and the cluster."""
