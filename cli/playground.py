"""The command ``playground``: a page in the browser where a small network learns."""

import sys
import webbrowser

import click

from .errors import Command, UserError, remark


@click.command(cls=Command)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Port to serve at; 0 is one that is free.",
)
@click.option("--lesson", metavar="NAME", help="Begin with a lesson, such as xor or overfitting.")
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
def playground(port: int, lesson: str | None, no_open: bool, as_json: bool) -> None:
    """Watch a small network learn in the browser, on this machine.

    Data, layers, loss and solver are chosen on the page, which shows the surface, every unit and
    every weight while they change. Ctrl-C ends it. Needs the serve extra: pip install
    'fastmlp[serve]'.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UserError(
            "playground needs the packages starlette and uvicorn: pip install 'fastmlp[serve]'"
        ) from None
    from fastmlp.playground.lessons import LESSONS
    from fastmlp.playground.server import HOST, serve_playground
    from fastmlp.serving.server import address_of, bind

    from .output import print_json

    if lesson is not None and lesson not in LESSONS:
        raise UserError(f"there is no lesson {lesson!r}; there are {', '.join(LESSONS)}")
    sock = bind(HOST, port)
    address = address_of(sock, HOST)
    if lesson is not None:
        address = f"{address}/#lesson={lesson}"
    if as_json:
        print_json({"address": address})
        sys.stdout.flush()
    else:
        remark(f"fastmlp: the playground is at {address} (Ctrl-C ends it)")
    if not no_open:
        webbrowser.open(address)
    serve_playground(sock)
