"""One module for each API, named as its messages are: ``build(services)`` returns what answers its requests."""
