"""The table of served APIs, as the README shows it: ``python -m minikafka.broker.api_table`` prints it."""

from __future__ import annotations

import sys

from minikafka.broker.routes import ROUTES, Route


def api_table() -> str:
    """A Markdown table with a row for each route, in the order of the API keys."""
    rows = [_row(route) for route in sorted(ROUTES, key=lambda route: route.api_key)]
    return "\n".join(["| key | API | versions |", "| ---: | --- | --- |", *rows])


def _row(route: Route) -> str:
    versions = f"{route.first_parsed}-{route.last_version}"
    if route.first_parsed != route.first_version:
        versions += f" (offered from {route.first_version}, as Kafka does)"
    return f"| {int(route.api_key)} | {_kafka_name(route.api_key.name)} | {versions} |"


def _kafka_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


if __name__ == "__main__":
    sys.stdout.write(api_table() + "\n")
