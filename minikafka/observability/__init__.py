"""What lets people see what the broker does: logs, the event log, and failpoints to make it do worse."""
