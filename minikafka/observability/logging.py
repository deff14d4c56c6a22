"""Logs: constant event names with fields, as JSON lines or for the eye, on standard error.

    log = get_logger(__name__)
    log.info("segment_rolled", topic="orders", base_offset=4211)

structlog is imported by the first line that is logged, not by this module: it costs as much as the rest of a broker's
start, and a broker should first serve and then talk about it.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

if TYPE_CHECKING:
    from types import ModuleType

    from structlog.typing import FilteringBoundLogger, Processor

Style = Literal["json", "pretty"]
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class _Settings:
    """How the process logs; ``generation`` tells loggers that were handed out that it has changed."""

    __slots__ = ("generation", "level", "stream", "style")

    def __init__(self) -> None:
        self.style: Style = "pretty"
        self.level = _LEVELS["warning"]
        self.stream: TextIO | None = None
        self.generation = 0


_settings = _Settings()


def configure(style: Style, level: str = "info", stream: TextIO | None = None) -> None:
    """Say how this process logs.  Until then it logs warnings and worse, for the eye.

    Args:
        style: One JSON object a line, or columns and colours.
        level: The least that is logged: debug, info, warning, error or critical.
        stream: Where lines go; standard error when None.

    Raises:
        ValueError: There is no such level.
    """
    if level.lower() not in _LEVELS:
        raise ValueError(f"unknown log level {level}: use one of {', '.join(_LEVELS)}")
    _settings.style = style
    _settings.level = _LEVELS[level.lower()]
    _settings.stream = stream
    _settings.generation += 1


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose lines say which module they come from."""
    return cast("FilteringBoundLogger", _DeferredLogger(name))


class _DeferredLogger:
    """Becomes a structlog logger when it is first used, and again after :func:`configure`."""

    __slots__ = ("_generation", "_logger", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger: FilteringBoundLogger | None = None
        self._generation = -1

    def __getattr__(self, attribute: str) -> Any:
        if _LEVELS.get(attribute, _settings.level) < _settings.level:
            return _ignore
        if self._generation != _settings.generation:
            self._logger = _build_logger(self._name)
            self._generation = _settings.generation
        return getattr(self._logger, attribute)


def _ignore(_event: str, **_fields: object) -> None:
    """Log nothing: the line is below the level, and structlog need not be there to say so."""


class _Output:
    """Where structlog's finished lines go."""

    __slots__ = ()

    def msg(self, line: str) -> None:
        stream = _settings.stream or sys.stderr
        # One write a line, so that lines of several threads do not mix.
        stream.write(line + "\n")
        stream.flush()

    debug = info = warning = error = critical = msg


def _build_logger(name: str) -> FilteringBoundLogger:
    structlog = _import_structlog()
    logger = structlog.wrap_logger(
        _Output(),
        processors=_processors(structlog),
        wrapper_class=structlog.make_filtering_bound_logger(_settings.level),
    )
    return cast("FilteringBoundLogger", logger.bind(logger=name))


def _import_structlog() -> ModuleType:
    # structlog imports rich for its tracebacks when rich is there, which takes 200 ms and is not used here.
    hidden = "rich" not in sys.modules and "structlog" not in sys.modules
    if hidden:
        sys.modules["rich"] = cast("ModuleType", None)
    try:
        import structlog  # noqa: PLC0415 - late on purpose, see the module's docstring
    finally:
        if hidden:
            del sys.modules["rich"]
    return structlog


def _processors(structlog: ModuleType) -> list[Processor]:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if _settings.style == "json":
        return [*shared, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    stream = _settings.stream or sys.stderr
    renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    return [*shared, _escape_control_characters, renderer]


def _escape_control_characters(
    _logger: Any, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep text that clients sent (a client id, a topic name) from moving the cursor or faking lines."""
    for name, value in fields.items():
        if isinstance(value, str) and not value.isprintable():
            fields[name] = value.encode("unicode_escape").decode()
    return fields
