"""The application of the playground: its page, and the few things that the page asks for."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..exceptions import InputError
from ..serving.app import check_host, received
from ..serving.limits import MIB, Limits, RequestError
from .lessons import catalogue
from .sessions import Sessions, describe_table
from .settings import MOST_EPOCHS, TABLE_BYTES, read_settings

_log = logging.getLogger("fastmlp.playground")
LIMITS = Limits(body=2 * MIB, seconds=30.0, connections=64, keep_alive=30)
_SECONDS_BETWEEN_LOOKS = 5.0
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
# The page loads its own files alone, and its scripts can make no markup of texts.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": POLICY,
}


def make_app(hosts: set[str] | None, sessions: Sessions) -> Starlette:
    """Make the application.

    Parameters
    ----------
    hosts : set of str or None
        The names by which it may be asked; None are all.
    sessions : Sessions
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        looks = asyncio.create_task(_end_idle(sessions))
        yield
        looks.cancel()
        with suppress(asyncio.CancelledError):
            await looks
        sessions.close_all()

    def post(path: str, function: Callable[[Request, Any], Any]) -> Route:
        async def answer(request: Request) -> Response:
            given = await _json_of(request)
            return _json(await run_in_threadpool(function, request, given))

        return Route(path, partial(_answer, hosts, answer), methods=["POST"])

    async def table(request: Request) -> Response:
        body = await _body_of(request, replace(LIMITS, body=TABLE_BYTES))
        return _json(await run_in_threadpool(describe_table, body))

    async def offered(request: Request) -> Response:
        return _json(await run_in_threadpool(catalogue))

    def open_session(request: Request, given: Any) -> Any:
        key, session = sessions.open(read_settings(given))
        return {"session": key, **session.described(), "frame": session.frame(0, 0)}

    def found(request: Request) -> Any:
        return sessions.find(request.path_params["key"])

    def end(request: Request, given: Any) -> Any:
        sessions.close(request.path_params["key"])
        return {}

    at = "/api/sessions/{key}"
    routes = [
        *(Route(path, partial(_answer, hosts, _file(name))) for path, name in _files().items()),
        Route("/api/catalogue", partial(_answer, hosts, offered)),
        Route("/api/table", partial(_answer, hosts, table), methods=["POST"]),
        post("/api/sessions", open_session),
        post(f"{at}/run", lambda r, g: found(r).advance(
            _whole(g, "epochs", 1, MOST_EPOCHS), _whole(g, "known", 0, MOST_EPOCHS))),
        post(f"{at}/show", lambda r, g: found(r).frame(
            _whole(g, "epoch", 0, MOST_EPOCHS), _whole(g, "known", 0, MOST_EPOCHS))),
        post(f"{at}/code", lambda r, g: found(r).code(_whole(g, "epoch", 0, MOST_EPOCHS))),
        post(f"{at}/table", lambda r, g: {"csv": found(r).table()}),
        post(f"{at}/point", lambda r, g: found(r).point(
            _whole(g, "epoch", 0, MOST_EPOCHS), _place(g))),
        post(f"{at}/end", end),
    ]  # fmt: skip
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


async def _end_idle(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        await run_in_threadpool(sessions.close_idle)


def _files() -> dict[str, str]:
    """Return the addresses of the page's files, and their names; there are no others."""
    names = [entry.name for entry in files(__package__).joinpath("static").iterdir()]
    named = {f"/static/{name}": name for name in names if "." in name}
    return {"/": "index.html", **named}


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    text = files(__package__).joinpath("static", name).read_text(encoding="utf-8")
    kind = _TYPES[name[name.rindex(".") :]]

    async def answer(request: Request) -> Response:
        return Response(text, headers=_HEADERS, media_type=kind)

    return answer


async def _answer(
    hosts: set[str] | None, function: Callable[[Request], Awaitable[Response]], request: Request
) -> Response:
    """Answer a request, whatever happens."""
    try:
        check_host(request, hosts)
        _check_origin(request)
        return await function(request)
    except RequestError as error:
        return _json({"error": str(error)}, error.status, error.headers)
    except InputError as error:
        return _json({"error": str(error)}, 400)
    except ValueError as error:  # the estimator's own words on parameters that do not go together
        return _json({"error": str(error)}, 400)
    except ClientDisconnect:
        return _json({"error": "the client has gone"}, 400)
    except Exception as error:
        _log.error("internal error, %s", type(error).__name__)
        return _json({"error": "internal error"}, 500)


def _check_origin(request: Request) -> None:
    """Refuse what a page of another site has sent."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "none")
    own = f"http://{request.headers.get('host', '')}".lower()
    if (origin is not None and origin.lower() != own) or (
        request.method == "POST" and site not in ("none", "same-origin")
    ):
        raise RequestError(403, "this request comes from another site")


async def _json_of(request: Request) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(415, "send Content-Type: application/json")
    body = await _body_of(request, LIMITS)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(400, "the body is no JSON") from None


async def _body_of(request: Request, limits: Limits) -> bytes:
    try:
        async with asyncio.timeout(limits.seconds):
            return await received(request, limits)
    except TimeoutError:
        raise RequestError(408, "the body has not arrived", {"Connection": "close"}) from None


def _whole(given: Any, key: str, least: int, most: int) -> int:
    value = given.get(key) if isinstance(given, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise RequestError(400, f"{key} must be an integer from {least} to {most}")
    return value


def _place(given: Any) -> list[float]:
    place = given.get("place")
    if not isinstance(place, list) or len(place) != 2:
        raise RequestError(400, "place must be two numbers")
    if not all(isinstance(x, int | float) and abs(x) <= 100 for x in place):
        raise RequestError(400, "place must be two numbers from -100 to 100")
    return place


def _json(found: Any, status: int = 200, headers: Any = None) -> Response:
    body = json.dumps(found, allow_nan=False, separators=(",", ":"))
    return Response(body, status, {**_HEADERS, **(headers or {})}, "application/json")
