"""From a frame to its handler, and from the handler's response to the buffers that answer it.

A frame that is not a request, an API that is not served, and a version that is not, end the connection: no answer to
them could be understood.  The one exception is ApiVersions, whose unknown versions are answered in v0.

Source: Kafka, RequestContext.parseRequest and KafkaApis.handle.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from importlib import import_module
from time import monotonic
from typing import Any

from minikafka.broker.context import RequestContext
from minikafka.broker.error_responses import error_response
from minikafka.broker.fairness import MAX_LISTED
from minikafka.broker.handlers.api_versions import unsupported_version
from minikafka.broker.routes import Route
from minikafka.broker.services import Services
from minikafka.net.handler import CarriedOut, CloseConnection, ConnectionInfo, Reply
from minikafka.observability.logging import get_logger
from minikafka.protocol.api_keys import ApiKey, request_class, response_class
from minikafka.protocol.codec import decode, encode_buffers
from minikafka.protocol.errors import DecodeError
from minikafka.protocol.header import (
    RequestHeader,
    decode_request_header,
    encode_response_header,
    pack_correlation_id,
    response_header_tags,
)
from minikafka.protocol.schema import Message

Answer = Message | None
Handler = Callable[[Any, RequestContext], Answer | Coroutine[Any, Any, Answer] | CarriedOut[Answer]]
"""Takes the request of its API; what it returns is the response of that API, or None for no answer at all."""

_SHOWN_CLIENT_ID_LENGTH = 100

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """One version of one API, with everything that is needed to serve it."""

    api_key: ApiKey
    version: int
    request_class: type[Message]
    handler: Handler
    header_tags: bytes
    """What the header of its responses ends with."""


class Dispatcher:
    """Answers frames; the broker's network calls it with each.

    A handler's module is imported when the first request for it comes, or when :meth:`preload` gets to it: a broker
    that waited for all of them would be ready later.
    """

    __slots__ = ("_endpoints", "_handlers", "_routes", "_services")

    def __init__(self, routes: Iterable[Route], services: Services) -> None:
        self._routes = {int(route.api_key): route for route in routes}
        self._services = services
        self._handlers: dict[int, Handler] = {}
        self._endpoints: dict[tuple[int, int], _Endpoint] = {}

    def __call__(
        self, frame: memoryview, connection: ConnectionInfo
    ) -> Reply | Coroutine[Any, Any, Reply] | CarriedOut[Reply]:
        """Answer one request; a handler that has to wait makes this return a coroutine.

        Raises:
            CloseConnection: The frame is nothing that can be answered.
        """
        try:
            header = decode_request_header(frame)
        except DecodeError as error:
            raise CloseConnection(f"not a Kafka request: {error}") from error
        endpoint = self._endpoints.get((header.api_key, header.api_version))
        if endpoint is None:
            if header.api_key == ApiKey.API_VERSIONS and not self._serves(header):
                return self._refuse_api_versions(header)
            endpoint = self._make_endpoint(header)
        try:
            request = _decode_request(endpoint, frame, header.body_position)
        except DecodeError as error:
            raise CloseConnection(f"malformed request: {error}; from {_client(header)}") from error
        received_at = monotonic()  # the loop's clock; to ask for the loop is a system call
        ctx = RequestContext(connection, header.api_version, header.client_id or "", header.correlation_id, received_at)
        try:
            response = endpoint.handler(request, ctx)
        except Exception as error:  # noqa: BLE001 - whatever a handler let escape
            response = _answer_to_fault(error, endpoint, ctx)
        if response is None:
            return None
        if isinstance(response, Message):
            return _encode(response, endpoint, ctx)
        if isinstance(response, CarriedOut):
            return CarriedOut(_answer_later(response.answer, endpoint, ctx))
        return _answer_later(response, endpoint, ctx)

    def preload(self) -> Iterable[ApiKey]:
        """Import the handlers one by one, with a step for each, so that requests can be served in between."""
        for route in self._routes.values():
            self._handler(route)
            request_class(route.api_key)
            yield route.api_key

    def _serves(self, header: RequestHeader) -> bool:
        route = self._routes.get(header.api_key)
        return route is not None and route.serves(header.api_version)

    def _make_endpoint(self, header: RequestHeader) -> _Endpoint:
        route = self._routes.get(header.api_key)
        if route is None or not route.serves(header.api_version):
            raise CloseConnection(_refusal(header, route))
        made = _Endpoint(
            route.api_key,
            header.api_version,
            request_class(route.api_key),
            self._handler(route),
            response_header_tags(header.api_key, header.api_version),
        )
        self._endpoints[header.api_key, header.api_version] = made
        return made

    def _handler(self, route: Route) -> Handler:
        handler = self._handlers.get(route.api_key)
        if handler is None:
            handler = self._handlers[route.api_key] = import_module(route.handler_module).build(self._services)
        return handler

    def _refuse_api_versions(self, header: RequestHeader) -> Reply:
        head = encode_response_header(ApiKey.API_VERSIONS, 0, header.correlation_id)
        return encode_buffers(unsupported_version(self._routes.values()), 0, head)


def _decode_request(endpoint: _Endpoint, frame: memoryview, position: int) -> Message:
    try:
        return decode(endpoint.request_class, endpoint.version, frame, position, MAX_LISTED)
    except DecodeError:
        # librdkafka 2 writes the null array that asks for all topics in four bytes where one is right (its issue
        # 5049).  Kafka ignores what is left over of any frame; here just these four bytes are known, and three skipped.
        if endpoint.api_key != ApiKey.METADATA or endpoint.version < 9 or frame[position : position + 4] != bytes(4):
            raise
        return decode(endpoint.request_class, endpoint.version, frame, position + 3, MAX_LISTED)


async def _answer_later(waiting: Coroutine[Any, Any, Answer], endpoint: _Endpoint, ctx: RequestContext) -> Reply:
    try:
        response = await waiting
    except Exception as error:  # noqa: BLE001 - whatever a handler let escape
        response = _answer_to_fault(error, endpoint, ctx)
    return None if response is None else _encode(response, endpoint, ctx)


def _encode(response: Message, endpoint: _Endpoint, ctx: RequestContext) -> Reply:
    return encode_buffers(response, endpoint.version, pack_correlation_id(ctx.correlation_id) + endpoint.header_tags)


def _answer_to_fault(error: Exception, endpoint: _Endpoint, ctx: RequestContext) -> Message:
    """Answer the fault of a handler, or end the connection where a response has no place for an error."""
    if isinstance(error, CloseConnection):
        raise error
    _log.error(
        "handler_failed", api=endpoint.api_key.name, version=endpoint.version, client_id=ctx.client_id, exc_info=error
    )
    answer = error_response(response_class(endpoint.api_key), endpoint.version, error)
    if answer is None:
        raise CloseConnection(f"{endpoint.api_key.name} v{endpoint.version} failed: {error!r}") from error
    return answer


def _refusal(header: RequestHeader, route: Route | None) -> str:
    asked = f"version {header.api_version}"
    if route is None:
        return f"API key {header.api_key} ({asked}) is not served; asked for by {_client(header)}"
    served = f"{route.first_parsed} to {route.last_version}"
    return f"{route.api_key.name} {asked} is not served, only {served}; asked for by {_client(header)}"


def _client(header: RequestHeader) -> str:
    return f"client id {(header.client_id or '')[:_SHOWN_CLIENT_ID_LENGTH]!r}"
