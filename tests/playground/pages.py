"""The server of the playground in a thread, and a browser that opens its page."""

import contextlib
import shutil
import threading
import time

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextlib.contextmanager
def serving():
    """Serve at a free port; the values are the address, the sessions, and what ends it."""
    from fastmlp.playground.server import HOST, make_server
    from fastmlp.playground.sessions import Sessions
    from fastmlp.serving.server import address_of, bind

    sessions = Sessions()
    sock, server = bind(HOST, 0), make_server(sessions)
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()

    def end():
        server.should_exit = True
        thread.join()
        sock.close()

    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield address_of(sock, HOST), sessions, end
    finally:
        end()


def find_chromium():
    """The path of a Chromium, or a skip."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("needs Chromium")
    return found
