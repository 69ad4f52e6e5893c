"""The page of the playground in a real browser."""

import json
import re
import time
from base64 import b64encode
from xml.etree import ElementTree

import pytest
from pages import find_chromium, serving

from fastmlp.playground.settings import read_settings

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = '<img src=x onerror="document.title=1">'
TABLE = f'a,"{HOSTILE.replace(chr(34), chr(34) * 2)}",</option><script>document.title=2</script>\n'
TABLE += "".join(f"{i % 7},{(3 * i) % 11},{'<b>yes</b>' if i % 3 else 'no'}\n" for i in range(40))


@pytest.fixture(scope="module")
def browser():
    path = find_chromium()
    with playwright.sync_playwright() as opened:
        found = opened.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def served():
    with serving() as found:
        yield found


@pytest.fixture
def visit(browser, served):
    """Open pages; none of them may log an error, or ask for anything elsewhere."""
    contexts, complaints, asked = [], [], []

    def opened(where="", width=1280, scheme="light", address=served[0], is_silent=True):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        if is_silent:
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append("a dialog"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/{where}")
        ready(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert [
        url for url in asked if not url.startswith(("http://127.0.0.1:", "blob:", "data:"))
    ] == []


def until(page, condition):
    """Wait for a condition; the page's policy lets no script of the browser's driver wait in it."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(10)


def until_text(page, name, condition):
    until(page, f"((text) => {condition})(document.getElementById('{name}').textContent)")


def until_epoch(page, epoch):
    until_text(page, "epoch", f"text === '{epoch}'")


def ready(page):
    """Wait until the page shows a network and its code."""
    until_text(page, "python", "text.length > 100")


def anew(page, act):
    """Do what begins another network, and wait for that."""
    codes = []

    def note(response):
        if response.url.endswith("/code") and response.ok:
            codes.append(response)

    page.on("response", note)
    with page.expect_response("**/api/sessions"), page.expect_response("**/code"):
        act()
    deadline = time.monotonic() + 60
    while not codes or text(page, "python") != codes[-1].json()["python"]:
        assert time.monotonic() < deadline
        page.wait_for_timeout(10)
    page.remove_listener("response", note)


def text(page, name):
    return page.text_content(f"#{name}")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(visit, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(width=width, scheme=scheme)
    page.click("#step")
    until_epoch(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # The page's policy lets no script in, so that axe comes by way of the debugger.
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]})
    serious = [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.title() == "fastmlp playground"


def test_two_units_learn_exclusive_or(visit):
    page = visit()
    assert page.input_value("#speed") == "10"
    anew(page, lambda: page.select_option("#lesson", label="Exclusive or: two units can"))
    assert text(page, "train-score") != "100.0 %"
    page.select_option("#speed", "20")
    page.click("#run")
    until_text(page, "train-score", "text === '100.0 %'")
    page.click("#run")
    assert text(page, "run") == "Run"
    until_text(page, "status", "text.startsWith('Epoch')")
    assert "accuracy 100.0 %" in page.get_attribute("#surface", "aria-label")


def test_a_pause_and_a_run_at_once_leave_one_loop(visit):
    page = visit()
    page.evaluate("""() => {
        const ask = window.fetch;
        let open = 0;
        window.most = 0;
        window.asked = 0;
        window.fetch = async (path, options) => {
            if (!String(path).endsWith("/run")) return ask(path, options);
            window.asked += 1;
            open += 1;
            if (window.asked > 10) window.most = Math.max(window.most, open);
            const answer = await ask(path, options);
            open -= 1;
            return answer;
        };
        for (let i = 0; i < 5; i++) document.getElementById("run").click();
    }""")
    until(page, "window.asked > 40")
    assert page.evaluate("window.most") == 1
    page.click("#run")


def test_the_network_changes(visit):
    page = visit()
    units = "document.querySelectorAll('#graph button').length"
    assert page.evaluate(units) == 2 + 4 + 2 + 1
    anew(page, lambda: page.click("#add-layer"))
    assert page.evaluate(units) == 2 + 4 + 2 + 2 + 1
    anew(page, lambda: page.press("#more-0", "Enter"))
    assert page.evaluate("document.activeElement.id") == "more-0"
    anew(page, lambda: page.select_option("#activation-0", "relu"))
    anew(page, lambda: page.check("[name=feature][value='x1*x2']"))
    assert "(5, 2, 2)" in text(page, "python") and "('relu', 'tanh', 'tanh')" in text(
        page, "python"
    )
    assert "['x1', 'x2', 'x1*x2']" in text(page, "python")
    anew(page, lambda: page.select_option("#field-solver", "lbfgs"))
    assert page.is_disabled("#field-learning_rate_init")
    for _ in range(3):
        anew(page, lambda: page.click("#remove-layer"))
    assert page.evaluate(units) == 4 and page.is_disabled("#remove-layer")
    page.click("#step")
    until_epoch(page, 1)


def test_back_through_the_epochs(visit):
    page = visit()
    for epoch in "123":
        page.click("#step")
        until_epoch(page, epoch)
    until_text(page, "python", "text.includes('max_iter=3,')")
    last = text(page, "train-loss")
    page.focus("#history")
    page.press("#history", "ArrowLeft")
    until_epoch(page, 2)
    assert text(page, "train-loss") != last
    until_text(page, "python", "text.includes('max_iter=2,')")
    anew(page, lambda: page.click("#reset"))
    assert text(page, "epoch") == "0"


def test_units_and_weights_tell_their_numbers(visit):
    page = visit()
    page.click("#step")
    unit = page.get_by_label("Layer 1, unit 2", exact=True)
    unit.focus()
    assert re.search(r"bias -?\d.* x1.* x2", text(page, "told"))
    page.keyboard.press("Enter")
    assert unit.get_attribute("aria-pressed") == "true"
    page.locator("#graph .touch").first.dispatch_event("pointerenter")
    assert text(page, "told").startswith("Weight ")


def test_points_are_painted_with_pointer_and_keys(visit):
    page = visit()
    page.check("[name=pointer][value='1']")
    anew(page, lambda: page.locator("#surface").click(position={"x": 30, "y": 40}))
    assert "1 painted" in text(page, "pointer")
    page.focus("#surface")
    for _ in range(4):
        page.keyboard.press("ArrowUp")
    anew(page, lambda: page.keyboard.press("Enter"))
    assert "2 painted" in text(page, "pointer") and "(0, 0.4, 1)" in text(page, "python")
    anew(page, lambda: page.get_by_text("Clear 2 painted").click())
    page.check("[name=pointer][value='inspect']")
    page.locator("#surface").click(position={"x": 30, "y": 40})
    until_text(page, "point", "text.includes('Output')")


def test_a_point_tells_what_flows_back_from_it(visit, served):
    page = visit()
    page.click("#step")
    until_epoch(page, 1)
    points = list(served[1]._known.values())[-1].points
    (x1, x2), y = points.places[0], points.y[0]
    size = page.locator("#surface").bounding_box()["width"]
    at = {"x": size * (0.5 + x1 / 5), "y": size * (0.5 - x2 / 5)}
    page.locator("#surface").click(position=at)
    until_text(page, "point", "text.includes('Signal')")
    assert f"Target {y}, loss" in text(page, "point")
    rows = page.eval_on_selector_all(
        "#point tbody tr", "(all) => all.map((row) => [...row.cells].map((c) => c.textContent))"
    )
    assert [row[0] for row in rows] == ["1.1", "1.2", "1.3", "1.4", "2.1", "2.2", "Output"]
    assert [len(row[3].split(", ")) for row in rows] == [2] * 4 + [4] * 2 + [2]
    assert float(rows[-1][2]) == pytest.approx(float(rows[-1][1]) - y, abs=0.01)
    page.locator("#surface").click(position={"x": 3, "y": 3})
    until_text(page, "point", "!text.includes('Signal')")
    assert "Click a point of the data" in text(page, "point")


def test_a_table_of_the_user_with_hostile_names(visit):
    page = visit()
    file = {"name": "mine.csv", "mimeType": "text/csv", "buffer": TABLE.encode()}
    anew(page, lambda: page.set_input_files("#file", file))
    names = page.eval_on_selector_all("#target option", "(all) => all.map((o) => o.textContent)")
    assert names == ["a", HOSTILE, "</option><script>document.title=2</script>"]
    anew(page, lambda: (page.select_option("#axis1", "a"), page.select_option("#axis2", HOSTILE)))
    assert HOSTILE in text(page, "python") and "table_points(" in text(page, "python")
    legend = page.eval_on_selector_all("#legend li", "(all) => all.map((one) => one.textContent)")
    assert legend == ["<b>yes</b>", "no", "test", f"horizontal: a, vertical: {HOSTILE}"]
    page.click("#step")
    until_epoch(page, 1)
    assert page.title() == "fastmlp playground"
    assert page.locator("main img, main script").count() == 0


def test_a_table_that_cannot_be_read(visit):
    page = visit(is_silent=False)  # browsers log an answer of 400
    page.set_input_files("#file", {"name": "a", "mimeType": "text/csv", "buffer": b"\0\1\2"})
    page.wait_for_selector("#problem:not([hidden])")
    assert len(text(page, "problem-text")) > 10 and page.is_hidden("#retry")


def test_a_link_holds_the_settings(visit):
    page = visit()
    anew(page, lambda: page.check("[name=kind][value=moons]", force=True))
    anew(page, lambda: page.click("#more-1"))
    link = page.url
    other = visit(link.split("/")[-1])
    assert other.is_checked("[name=kind][value=moons]")
    assert "(4, 3)" in text(other, "python") and text(other, "python") == text(page, "python")
    assert "(4, 2)" in text(visit("#no-settings"), "python")


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": 5},
        {"hidden": None},
        {"hidden": [2] * 2000},
        {"features": None},
        {"features": "x"},
    ],
    ids=str,
)
def test_a_link_of_other_shapes_is_told(visit, settings):
    page = visit(f"#{b64encode(json.dumps(settings).encode()).decode().rstrip('=')}")
    assert text(page, "story").startswith("The link holds no settings that can be read.")
    assert "(4, 2)" in text(page, "python") and page.input_value("#lesson") == "0"


def test_a_link_opens_a_lesson(visit):
    page = visit("#lesson=xor")
    shown = page.eval_on_selector("#lesson", "(list) => list.selectedOptions[0].textContent")
    assert shown == "Exclusive or: two units can" and "(2,)" in text(page, "python")
    page = visit("#lesson=none")
    assert text(page, "story").startswith("The link holds no settings")


def test_a_file_that_is_too_large_is_not_read(visit, tmp_path):
    page = visit()
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(2**31 + 2**29)  # which takes no room
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_input_files("#file", tmp_path / "large.csv")
    page.wait_for_selector("#problem:not([hidden])")
    assert text(page, "problem-text").startswith("The file has 2560.0 MiB, and a table here has at")
    assert asked == [] and page.is_hidden("#table")
    page.click("#step")
    until_epoch(page, 1)


def test_the_network_follows_the_width_of_the_window(visit):
    page = visit()
    reach = "document.getElementById('graph').offsetWidth"
    wide = page.evaluate(reach)
    page.set_viewport_size({"width": 390, "height": 900})
    until(page, f"{reach} < {wide} && {reach} <= 390")
    page.set_viewport_size({"width": 1280, "height": 900})
    until(page, f"{reach} === {wide}")


def test_numbers_have_room(visit):
    found = visit().evaluate("""async () => {
        const {number} = await import("/static/network.js");
        const {short} = await import("/static/charts.js");
        return [[null, 0, 0.0123456, -0.0000258, 8.18136e304].map(number),
            [0.707, 0.0000258, 8.18136e304, -1234567].map(short)];
    }""")
    assert found[0] == ["\u2013", "0", "0.0123", "-2.58e-5", "8.18e+304"]
    assert max(map(len, found[1])) <= 7 and found[1][2] == "8e+304"


def test_pictures_are_saved(visit):
    page = visit()
    page.click("#step")
    until_epoch(page, 1)
    with page.expect_download() as svg:
        page.click("#save-svg")
    root = ElementTree.parse(svg.value.path()).getroot()
    assert root.tag.endswith("svg") and len(root.findall(".//{*}image")) == 1 + 9
    words = [found.text for found in root.findall(".//{*}text")]
    assert {"training", "test", "0", "epoch 1"} < set(words)
    with page.expect_download() as png:
        page.click("#save-png")
    assert png.value.path().read_bytes().startswith(b"\x89PNG")
    assert png.value.path().stat().st_size > 20_000
    with page.expect_download() as points:
        page.click("#save-points")
    lines = points.value.path().read_text().splitlines()
    assert lines[0] == "x1,x2,y" and len(lines) == 201


def test_two_tabs_learn_by_themselves(visit, served):
    first, second = visit(), visit()
    first.click("#run")
    until_text(first, "epoch", "Number(text) > 20")
    assert text(second, "epoch") == "0"
    second.click("#step")
    until_epoch(second, 1)
    first.click("#run")


def test_a_page_has_one_session_at_a_time(visit, served, monkeypatch):
    page = visit(is_silent=False)
    sessions = served[1]
    key, _ = sessions.open(read_settings({"n_points": 20, "hidden": []}))
    monkeypatch.setattr("fastmlp.playground.sessions.MOST_SESSIONS", len(sessions))
    for _ in range(3):
        anew(page, lambda: page.click("#more-0"))
    assert page.is_hidden("#problem") and "(7, 2)" in text(page, "python")
    # Where others have taken all room it says so, and gets some when it tries again.
    monkeypatch.setattr("fastmlp.playground.sessions.MOST_SESSIONS", len(sessions) - 1)
    page.click("#more-0")
    page.wait_for_selector("#problem:not([hidden])")
    assert "too many pages" in text(page, "problem-text")
    monkeypatch.undo()
    sessions.close(key)
    anew(page, lambda: page.click("#retry"))
    assert page.is_hidden("#problem") and "(8, 2)" in text(page, "python")


def test_the_server_rests_where_the_page_is_hidden_or_closed(visit, served):
    """A browser draws no frames of a hidden page, and the page asks once for each frame."""
    _, sessions, _ = served
    before = set(sessions._known)
    page = visit()
    (key,) = set(sessions._known) - before
    training = sessions.find(key).training
    page.click("#run")
    until_text(page, "epoch", "Number(text) > 20")
    # A frame may be on its way, and so may the answer to what was asked before.
    page.evaluate("""async () => {
        const draw = window.requestAnimationFrame;
        window.requestAnimationFrame = () => 0;
        for (let i = 0; i < 2; i++) await new Promise((done) => draw.call(window, done));
    }""")
    with sessions.find(key).lock:
        pass
    page.wait_for_timeout(300)
    reached = training.n_epochs
    page.wait_for_timeout(300)
    assert training.n_epochs == reached and training.is_alive
    page.goto("about:blank")
    training._thread.join(60)
    assert not training.is_alive and key not in sessions._known


def test_a_session_that_has_ended_begins_anew(visit, served):
    page = visit(is_silent=False)
    page.click("#step")
    until_epoch(page, 1)
    served[1].close_all()
    anew(page, lambda: page.click("#step"))
    assert text(page, "epoch") == "0" and page.is_hidden("#problem")


def test_the_page_says_that_the_server_has_ended(visit):
    with serving() as (address, _, end):
        page = visit(address=address, is_silent=False)
        page.click("#run")
        until_text(page, "epoch", "Number(text) > 5")
        end()
        page.wait_for_selector("#problem:not([hidden])")
        assert "does not answer" in text(page, "problem-text") and page.is_visible("#retry")
        assert text(page, "run") == "Run"
