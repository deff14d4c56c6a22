"""The broker: it builds the parts below it, routes requests to handlers and translates between both."""
