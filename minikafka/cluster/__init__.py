"""The cluster's state: where it is kept, who may change it, and what this broker knows of it."""
