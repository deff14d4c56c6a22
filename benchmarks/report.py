"""Results, and the table they are told in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from rich.console import Console
from rich.table import Table

MET, MISSED = "yes", "NO"
_WIDTH = 132
"""Of a table that is not squeezed, wherever it is printed."""


@dataclass(frozen=True, slots=True)
class AtMost:
    """A limit for a figure itself."""

    limit: float

    def is_met(self, figure: float, ratio: float) -> bool:
        """Whether the figure is within the limit."""
        return figure <= self.limit


@dataclass(frozen=True, slots=True)
class AtLeastTimes:
    """How many times a competitor's figure the first one shall be."""

    limit: float

    def is_met(self, figure: float, ratio: float) -> bool:
        """Whether the ratio is large enough."""
        return ratio >= self.limit


@dataclass(frozen=True, slots=True)
class AtMostTimes:
    """How many times a target's figure the first one may be."""

    limit: float

    def is_met(self, figure: float, ratio: float) -> bool:
        """Whether the ratio is small enough."""
        return ratio <= self.limit


Goal = AtMost | AtLeastTimes | AtMostTimes


@dataclass(slots=True)
class Row:
    """One thing measured, for several targets in the same runs.

    Attributes:
        name: What was measured.
        unit: Of the figures.
        digits: Shown after the decimal point.
        samples: By target, one figure for each run; the first target is the one that the others stand beside.
        goals: By target: a limit for its figure, or for the ratio of the first one's to it.
    """

    name: str
    unit: str
    digits: int = 0
    samples: dict[str, list[float]] = field(default_factory=dict)
    goals: Mapping[str, Goal] = field(default_factory=dict)

    def add(self, target: str, figure: float) -> None:
        """Add the figure of one run."""
        self.samples.setdefault(target, []).append(figure)

    def ratio(self, target: str) -> float:
        """The first target's figure by this one's: the median of the ratios of each run."""
        first = next(iter(self.samples.values()))
        return median(a / b for a, b in zip(first, self.samples[target], strict=True))

    def is_met(self, target: str) -> bool | None:
        """Whether the goal for a target is met; None when there is none."""
        goal = self.goals.get(target)
        return None if goal is None else goal.is_met(median(self.samples[target]), self.ratio(target))


def as_json(rows: list[Row]) -> list[dict[str, object]]:
    """The rows with every sample."""
    return [
        {
            "name": row.name,
            "unit": row.unit,
            "target": target,
            "median": median(figures),
            "samples": figures,
            "ratio": row.ratio(target),
            "goal_met": row.is_met(target),
        }
        for row in rows
        for target, figures in row.samples.items()
    ]


def print_table(rows: list[Row], title: str) -> None:
    """Print all rows as one table."""
    table = Table(title=title, title_justify="left")
    for heading, justify in (
        ("measured", "left"),
        ("target", "left"),
        ("median", "right"),
        ("lowest - highest", "right"),
        ("first / this", "right"),
        ("goal", "left"),
        ("met", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in rows:
        for number, target in enumerate(row.samples):
            table.add_row(*_cells(row, target, is_first=number == 0))
        table.add_section()
    Console(width=max(Console().width, _WIDTH)).print(table)


def _cells(row: Row, target: str, *, is_first: bool) -> list[str]:
    figures = row.samples[target]
    is_met = row.is_met(target)
    return [
        row.name if is_first else "",
        target,
        f"{median(figures):,.{row.digits}f} {row.unit}",
        f"{min(figures):,.{row.digits}f} - {max(figures):,.{row.digits}f}",
        "" if is_first else f"{row.ratio(target):.2f}",
        _goal_text(row.goals.get(target), row.unit, row.digits),
        "" if is_met is None else MET if is_met else MISSED,
    ]


def _goal_text(goal: Goal | None, unit: str, digits: int) -> str:
    match goal:
        case AtMost(limit):
            return f"at most {limit:,.{digits}f} {unit}"
        case AtLeastTimes(limit):
            return f"at least {limit:g} times"
        case AtMostTimes(limit):
            return f"at most {limit:.2f} times"
        case _:
            return ""
