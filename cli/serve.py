"""The command ``serve``: predictions by HTTP."""

import os
import sys
from pathlib import Path

import click

from .errors import Command, UserError, remark
from .models import is_model
from .types import FilePath, FiniteRange

_MIB = 2**20
_VARIABLE = "FASTMLP_TOKEN"


@click.command(cls=Command)
@click.argument("model", type=FilePath())
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to serve at; 0.0.0.0 is all of this machine's.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to serve at; 0 is one that is free.",
)
@click.option("--name", help="Name of the model in addresses.  [default: that of the file]")
@click.option(
    "--token",
    metavar="TEXT",
    help=f"What clients must send, as Authorization: Bearer TEXT. Other users of this "
    f"machine see it here; the variable {_VARIABLE} and --token-file hide it.",
)
@click.option("--token-file", type=FilePath(), help="File whose first line is the token.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Number of processes.",
)
@click.option(
    "--max-body",
    type=FiniteRange(0.001, 1024),
    default=8.0,
    show_default=True,
    metavar="MIB",
    help="Largest body of a request.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Most rows of a request.",
)
@click.option(
    "--timeout",
    type=FiniteRange(0.1, 3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that a body, and then its answer, may take.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print no line for each request.")
def serve(
    model: Path,
    host: str,
    port: int,
    name: str | None,
    token: str | None,
    token_file: Path | None,
    workers: int,
    max_body: float,
    max_rows: int,
    timeout: float,
    quiet: bool,
    as_json: bool,
) -> None:
    """Answer HTTP requests with predictions of MODEL, on this machine.

    It speaks JSON and CSV at /predict, the Open Inference Protocol at /v2, and MLflow's
    /invocations; the page at / tries a row. SIGTERM and Ctrl-C finish what was accepted, and SIGHUP
    loads the file again. Needs the serve extra: pip install 'fastmlp[serve]'.
    """  # fmt: skip
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UserError(
            "serve needs the packages starlette and uvicorn: pip install 'fastmlp[serve]'"
        ) from None
    from fastmlp.serving.app import Settings, allowed_hosts
    from fastmlp.serving.limits import Limits
    from fastmlp.serving.server import (
        Plan,
        address_of,
        bind,
        load_served,
        serve,
        serve_in_workers,
    )

    from .output import print_json

    secret = _token(token, token_file)
    limits = Limits(body=int(max_body * _MIB), rows=max_rows, seconds=timeout)
    settings = Settings(secret, allowed_hosts(host), limits)
    plan = Plan(model.absolute(), _name(name, model), settings, quiet)
    served = load_served(plan)
    sock = bind(host, port)
    if settings.hosts is None and secret is None:
        remark(f"fastmlp: whoever reaches {host} can use this model; --token-file asks for a token")
    address = address_of(sock, host)
    if as_json:
        print_json({"address": address, "model": plan.name, "pid": os.getpid()})
        sys.stdout.flush()
    else:
        remark(f"fastmlp: serving {plan.name} at {address} (Ctrl-C ends it)")
    if workers == 1:
        serve(plan, sock, served)
    else:
        serve_in_workers(plan, sock, workers)


def _token(text: str | None, file: Path | None) -> str | None:
    """Return the token that clients must send, if any."""
    if text is not None and file is not None:
        raise UserError("--token and --token-file are two tokens; choose one of them")
    where = "--token"
    if file is not None:
        where, lines = str(file), file.read_text(encoding="utf-8").splitlines()
        text = lines[0] if lines else ""
    elif text is None:
        where, text = _VARIABLE, os.environ.get(_VARIABLE) or None
    if text is None:
        return None
    text = text.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise UserError(f"{where}: the token must be letters, digits and signs of ASCII")
    return text


def _name(name: str | None, model: Path) -> str:
    """Return what the model is called in addresses."""
    if name is None:
        name = model.stem if is_model(model) else model.name
    if not name or "/" in name or not name.isprintable() or len(name) > 200:
        raise UserError(f"the name {name!r} cannot be part of an address; choose one with --name")
    return name
