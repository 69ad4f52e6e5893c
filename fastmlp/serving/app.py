"""The application: which address is answered by what, and what is refused before."""

import asyncio
import hmac
import logging
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from .. import __version__
from ..tabular.batches import Predictions
from . import answers, bodies
from .batching import Batcher, Served
from .limits import Limits, RequestError, busy
from .metrics import CONTENT_TYPE, Metrics
from .openapi import describe
from .page import content_policy, page
from .schema import Schema

_log = logging.getLogger("fastmlp.serving")
_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# Those that look whether the server lives have no token.
_PUBLIC = ("/v2/health/live", "/v2/health/ready", "/ping", "/health")
_CSV = ("text/csv", "application/csv")
_JSON = ("application/json", "")


@dataclass
class Settings:
    """What the owner of a server has chosen.

    Attributes
    ----------
    token : str, or None
        What clients must send; None lets everybody in.
    hosts : set of str, or None
        The names by which the server may be asked; None are all.
    limits : Limits
    """

    token: str | None = None
    hosts: set[str] | None = None
    limits: Limits = field(default_factory=Limits)


class State:
    """What requests have in common: the model, which can be replaced, and the thread that predicts.

    Parameters
    ----------
    served : Served
    settings : Settings
    metrics : Metrics, optional
        Where requests are counted, if other processes count there, too.
    """

    def __init__(self, served: Served, settings: Settings, metrics: Metrics | None = None) -> None:
        self.served, self.settings = served, settings
        self.metrics = Metrics() if metrics is None else metrics
        self.batcher = Batcher(settings.limits.waiting, self.metrics)


def allowed_hosts(host: str) -> set[str] | None:
    """Return the names by which a server at an address may be asked; None are all.

    A page of another site can have its own name lead to this machine ("DNS rebinding"), and could
    then read what a server for this machine alone answers; but the name stays its own.
    """
    try:
        is_local = ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    return {"localhost", "127.0.0.1", "[::1]", host, f"[{host}]"} if is_local else None


def make_app(state: State) -> Starlette:
    """Make the application of a server."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        state.batcher.close()

    def infer(request: Request) -> Awaitable[Response]:
        _check_name(request, state)
        return _predict(request, state, bodies.rows_of_tensors, answers.tensors)

    def described(request: Request) -> Response:
        _check_name(request, state)
        return _json(answers.metadata(state.served.schema, state.served.name))

    def model_ready(request: Request) -> Response:
        _check_name(request, state)
        return _json({"name": state.served.name, "ready": True})

    def get(path: str, function: Callable[[Request], Any]) -> Route:
        return Route(path, partial(_answer, state, path, function), methods=["GET"])

    def post(path: str, function: Callable[[Request], Any]) -> Route:
        return Route(path, partial(_answer, state, path, function), methods=["POST"])

    def rows(read: bodies.Reader, write: answers.Writer) -> Callable[[Request], Any]:
        return lambda request: _predict(request, state, read, write)

    about = {"name": "fastmlp", "version": __version__, "extensions": []}
    model = "/v2/models/{name}"
    routes = [
        get("/", lambda request: _page(state)),
        get("/openapi.json", lambda r: _json(describe(state.served, state.settings))),
        get("/metrics", lambda request: Response(
            state.metrics.text(), headers={**_NO_STORE, "Content-Type": CONTENT_TYPE}
        )),
        get("/v2", lambda request: _json(about)),
        get("/v2/health/live", lambda request: _json({"live": True})),
        get("/v2/health/ready", lambda request: _json({"ready": True})),
        get("/ping", lambda request: PlainTextResponse("\n")),
        get("/health", lambda request: PlainTextResponse("OK")),
        get(model, described),
        get(f"{model}/ready", model_ready),
        post(f"{model}/infer", infer),
        post("/predict", rows(bodies.rows_of_predict, answers.records)),
        post("/invocations", rows(bodies.rows_of_mlflow, answers.mlflow)),
    ]  # fmt: skip
    handlers = {HTTPException: partial(_on_http_error, state)}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


async def _answer(
    state: State, route: str, function: Callable[[Request], Any], request: Request
) -> Response:
    """Answer a request, whatever happens, count it, and write a line about it."""
    began = time.perf_counter()
    try:
        _check_client(request, state.settings)
        response = function(request)
        if not isinstance(response, Response):
            response = await response
    except RequestError as error:
        response = _json({"error": str(error)}, error.status, error.headers)
    except ClientDisconnect:
        response = _json({"error": "the client has gone"}, 400)
    except Exception as error:
        _log.error("internal error, %s", type(error).__name__)
        response = _json({"error": "internal error"}, 500)
    seconds = time.perf_counter() - began
    state.metrics.count_request(route, response.status_code, seconds)
    log(request, response, seconds)
    return response


def log(request: Request, response: Response, seconds: float) -> None:
    """Write a line about a request, without anything of its rows."""
    if not _log.isEnabledFor(logging.INFO):
        return
    raw = request.scope.get("raw_path") or b""
    path = "".join(c if c.isprintable() else "?" for c in raw.decode("ascii", "replace")[:200])
    n_rows = getattr(request.state, "n_rows", None)
    _log.info(
        "%s %s %s %d%s %.1f ms",
        request.client.host if request.client else "-",
        request.method,
        path,
        response.status_code,
        "" if n_rows is None else f" {n_rows} row{'s' * (n_rows != 1)}",
        1000 * seconds,
    )


async def _on_http_error(state: State, request: Request, error: Exception) -> Response:
    """Answer a request for an address or a method that there is not."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    message = {404: "there is nothing at this address", 405: "this address has another method"}
    response = _json({"error": message.get(status, "bad request")}, status, error.headers)
    state.metrics.count_request("other", status, 0.0)
    log(request, response, 0.0)
    return response


def _json(found: Any, status: int = 200, headers: Any = None) -> Response:
    return Response(
        answers.to_json(found), status, {**_NO_STORE, **(headers or {})}, "application/json"
    )


def _page(state: State) -> Response:
    text = page(state.served)
    headers = {
        **_NO_STORE, "Content-Security-Policy": content_policy(), "Referrer-Policy": "no-referrer"
    }  # fmt: skip
    return HTMLResponse(text, headers=headers)


def _check_name(request: Request, state: State) -> None:
    name = request.path_params["name"]
    if name != state.served.name:
        raise RequestError(404, f"there is no model of this name; it is {state.served.name!r}")


def check_host(request: Request, hosts: set[str] | None) -> None:
    """Refuse a client that comes by a name which is none of `hosts`; None are all names."""
    if hosts is None:
        return
    host = request.headers.get("host", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in hosts:
        raise RequestError(421, "this server is for its own machine; ask it as localhost")


def _check_client(request: Request, settings: Settings) -> None:
    """Refuse a client that comes by a foreign name, or has no token."""
    check_host(request, settings.hosts)
    if settings.token is None or request.url.path in _PUBLIC:
        return
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":  # browsers ask their user for a password
        try:
            given = b64decode(given, validate=True).decode("utf-8", "replace").partition(":")[2]
        except ValueError:
            given = ""
    elif kind.lower() != "bearer":
        given = ""
    if not hmac.compare_digest(given.strip().encode(), settings.token.encode()):
        raise RequestError(
            401,
            "a token is needed: Authorization: Bearer TOKEN",
            {"WWW-Authenticate": 'Basic realm="fastmlp", charset="UTF-8"'},
        )


async def _predict(
    request: Request, state: State, read: bodies.Reader, write: answers.Writer
) -> Response:
    """Answer a request for predictions."""
    limits = state.settings.limits
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _CSV and read is not bodies.rows_of_tensors:
        read = bodies.rows_of_csv
    elif kind not in _JSON:
        raise RequestError(
            415, f"the type {kind[:80]!r} is not known; send Content-Type: application/json"
        )
    if "inference-header-content-length" in request.headers:
        raise RequestError(400, "tensors of binary data are not known; send their values as JSON")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError(415, "compressed bodies are not known; send it as it is")
    try:
        async with asyncio.timeout(limits.seconds):
            body = await received(request, limits)
    except TimeoutError:
        raise RequestError(
            408, f"the body has not arrived in {limits.seconds:g} s", {"Connection": "close"}
        ) from None

    def read_body(served: Served) -> bodies.Table:
        return read(body, served.model, served.schema, limits)

    def write_body(
        predictions: Predictions, schema: Schema, table: bodies.Table, name: str
    ) -> bytes:
        return answers.to_json(write(predictions, schema, table, name))

    try:
        async with asyncio.timeout(limits.seconds):
            found, n_rows = await state.batcher.answer(state.served, read_body, write_body)
    except TimeoutError:
        raise busy(f"there was no answer in {limits.seconds:g} s; send fewer rows") from None
    request.state.n_rows = n_rows
    return Response(found, 200, _NO_STORE, "application/json")


async def received(request: Request, limits: Limits) -> bytes:
    """Read the body of a request, and refuse one that is too large as soon as that is known."""
    too_large = RequestError(
        413, f"the body has more than {limits.body} bytes; send fewer rows", {"Connection": "close"}
    )
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > limits.body:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limits.body:
            raise too_large
        parts.append(part)
    return b"".join(parts)
