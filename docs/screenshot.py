"""Make the picture of the playground anew: ``python docs/screenshot.py``.

It needs the extras ``serve`` and ``test``, and a Chromium. The picture is that of the lesson on the
spiral after 300 epochs.
"""

import shutil
import subprocess
import sys
from json import loads
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "_static" / "playground.png"
EPOCH = 300
NAMES = ("chromium", "chromium-browser", "google-chrome")


def main():
    """Serve the page, let it learn in a browser, and write what it shows."""
    command = [sys.executable, "-m", "fastmlp_cli", "playground", "--no-open", "--port", "0"]
    command += ["--lesson", "spiral", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stdout.readline, "}\n")
            take(loads("".join([*lines, "}"]))["address"])
        finally:
            server.terminate()
    # 128 colours are enough, and a third of the size.
    Image.open(PICTURE).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(
        PICTURE, optimize=True
    )


def take(address):
    """Open an address in Chromium, train, go back to the epoch, and write the picture."""
    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as opened:
        browser = opened.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 960}, color_scheme="light")
        page.goto(address)
        page.locator("#python", has_text="MLPClassifier(").wait_for()
        page.click("#run")
        while int(page.text_content("#epoch")) < EPOCH:
            page.wait_for_timeout(100)
        page.click("#run")
        page.wait_for_timeout(1000)
        page.fill("#history", str(EPOCH))
        page.locator("#status", has_text=f"Epoch {EPOCH}:").wait_for()
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
