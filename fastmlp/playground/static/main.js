// The page: it keeps the settings, asks the server for frames, and shows them.

import * as api from "./api.js";
import {drawChart} from "./charts.js";
import {Controls, byId, element} from "./controls.js";
import {showLegend, showMeasures} from "./measures.js";
import {Network, number} from "./network.js";
import {save, toPng, toSvg} from "./picture.js";
import {showPoint} from "./point.js";
import {copyOf, fromHash, haveShapes, toHash} from "./settings.js";
import {Surface} from "./surface.js";

const SPEEDS = [1, 2, 5, 10, 20, 50, 100];
const WAIT = 120;  // milliseconds after a change, before the network begins anew

let offered, settings, controls, surface, network;
let session = null;  // what the server has told of the present session
let frame = null;
let running = false;
let loops = 0;  // how many times training has been begun or gone on
let changes = 0;  // how many sessions have begun: an answer to an earlier one comes too late
let losses = [], testLosses = [], rates = [];

// ---- sessions --------------------------------------------------------------------------

const begin = debounced(openSession, WAIT);

async function openSession() {
  const mine = ++changes, former = session;
  session = null;
  // A page has one session at a time, of which the server has few.
  if (former) await api.endSession(former.session);
  if (mine !== changes) return;
  const opened = await attempt(() => api.openSession(settings));
  if (!opened) return;
  if (mine !== changes) {
    api.endSession(opened.session);
    return;
  }
  session = opened;
  losses = [];
  testLosses = [];
  rates = [];
  const {hidden} = settings;
  network.build(session, hidden);
  surface.selected = null;
  controls.showLosses(!session.classes.length, session.loss);
  byId("score-name").textContent = session.classes.length ? "Accuracy" : "R²";
  byId("notes").replaceChildren(...session.notes.map((note) => element("li", {}, note)));
  showLegend(byId("legend"), session, settings.kind === "table");
  showPointer();
  closePoint();
  show(session.frame);
  updateCode();
  say(`${session.n_parameters} parameters, ${session.places.length} points.`);
  history.replaceState(null, "", `#${toHash(settings, offered.defaults)}`);
  if (running) loop();
}

function restart() {
  showStory();
  begin();
}

// Ask the server; what goes wrong is shown, and the answer is then undefined.
async function attempt(question) {
  try {
    const answer = await question();
    byId("problem").hidden = true;
    return answer;
  } catch (error) {
    pause();
    if (error instanceof api.SessionEnded) {
      say("The session had ended, so the network has begun anew.");
      begin();
      return undefined;
    }
    byId("problem-text").textContent = error.message;
    byId("problem").hidden = false;
    byId("retry").hidden = !(error instanceof api.Passing);
    return undefined;
  }
}

// ---- training --------------------------------------------------------------------------

// One request a frame: where the page is hidden the browser draws no frames, and nothing is
// trained.
async function loop() {
  const mine = ++loops, {session: key} = session;
  const ask = () => attempt(() => api.run(key, Number(byId("speed").value), losses.length));
  let next = ask();
  while (running && mine === loops) {
    const [found] = await Promise.all([next, nextFrame()]);
    if (!found || mine !== loops || session?.session !== key) return;
    record(found);
    // The server is at work on the next frame while this one is drawn.
    if (running && !found.ending) next = ask();
    show(found);
    if (found.ending) end(found.ending);
    else if (!running) pauseAt();
  }
}

// Add the losses of the epochs that are new.
function record(found) {
  if (found.from !== losses.length) return;
  for (const value of found.losses) losses.push(value);
  for (const value of found.test_losses) testLosses.push(value);
  for (const value of found.rates) rates.push(value);
}

const nextFrame = () => new Promise((done) => requestAnimationFrame(done));

function start() {
  if (running || !session) return;
  running = true;
  byId("run").textContent = "Pause";
  say("Training.");
  loop();
}

function pause() {
  if (!running) return;
  running = false;
  byId("run").textContent = "Run";
  pauseAt();
}

function pauseAt() {
  describe();
  updateCode();
}

function end(words) {
  pause();
  say(words);
}

async function step() {
  pause();
  if (!session) return;
  const mine = changes, found = await attempt(() => api.run(session.session, 1, losses.length));
  if (!found || mine !== changes) return;
  show(found);
  describe();
  if (found.ending) say(found.ending);
  updateCode();
}

// ---- showing ---------------------------------------------------------------------------

function show(found) {
  frame = found;
  record(found);
  byId("epoch").textContent = found.epoch;
  const slider = byId("history");
  slider.max = found.n_epochs;
  slider.value = found.epoch;
  network.show(found);
  surface.selected = network.picture(network.chosen);
  surface.show(session, found);
  const percent = Boolean(session.classes.length);
  byId("train-score").textContent = score(found.train_score, percent);
  byId("test-score").textContent = score(found.test_score, percent);
  byId("train-loss").textContent = number(losses[found.epoch - 1]);
  byId("test-loss").textContent = number(testLosses[found.epoch - 1]);
  showMeasures(byId("measures"), found, network.sizes);
  drawCharts();
}

function score(value, percent) {
  if (value === null || value === undefined) return "–";
  return percent ? `${(100 * value).toFixed(1)} %` : value.toFixed(3);
}

function drawCharts() {
  const epoch = frame?.epoch ?? 0;
  drawChart(byId("loss-chart"), [
    {values: losses, color: "--low"}, {values: testLosses, color: "--high", dashed: true},
  ], {isLog: byId("log").checked, epoch});
  drawChart(byId("rate-chart"), [{values: rates, color: "--accent"}], {epoch});
}

// Words for those who do not see the picture.
function describe() {
  if (!session || !frame) return;
  const name = session.classes.length ? "accuracy" : "R²";
  const words = `Epoch ${frame.epoch}: training loss ${number(losses[frame.epoch - 1])}, ` +
    `${name} ${byId("train-score").textContent} in ` +
    `training, ${byId("test-score").textContent} in the test.`;
  byId("surface").setAttribute("aria-label", `Output of the network. ${words}`);
  byId("loss-chart").setAttribute("aria-label", `Loss by epoch. ${words}`);
  say(words);
}

function say(words) {
  byId("status").textContent = words;
}

function showStory() {
  const lesson = offered.lessons[Number(byId("lesson").value)];
  byId("story").textContent = lesson ? lesson.text : "";
}

const updateCode = debounced(async () => {
  if (!session || !frame) return;
  const mine = changes, found = await attempt(() => api.code(session.session, frame.epoch));
  if (!found || mine !== changes) return;
  byId("python").textContent = found.python;
  byId("shell").textContent = found.shell;
}, 100);

// ---- places of the plane ----------------------------------------------------------------

function showPointer() {
  const isLine = session.is_line, isRegression = !session.classes.length;
  const modes = [["inspect", "Look"]];
  if (settings.kind !== "table") {
    if (isLine) modes.push(["y", "Paint"]);
    else if (isRegression) modes.push(["-1", "Paint −1"], ["1", "Paint +1"]);
    else modes.push(["0", "Paint blue"], ["1", "Paint orange"]);
    if (settings.painted.length) modes.push(["erase", "Erase"]);
  }
  const former = pointerMode(), isKnown = modes.some(([value]) => value === former);
  const radios = modes.map(([value, label]) => {
    const radio = element("input", {type: "radio", name: "pointer", value});
    radio.checked = value === (isKnown ? former : "inspect");
    radio.addEventListener("change", showCursor);
    return element("label", {}, radio, label);
  });
  byId("pointer").replaceChildren(element("legend", {}, "Pointer"), ...radios);
  if (settings.painted.length) {
    const clear = element("button", {type: "button"}, `Clear ${settings.painted.length} painted`);
    clear.addEventListener("click", () => controls.change("painted", []));
    byId("pointer").append(clear);
  }
  showCursor();
}

const pointerMode = () => document.querySelector("[name=pointer]:checked")?.value ?? "inspect";

function showCursor() {
  byId("surface").classList.toggle("paints", pointerMode() !== "inspect");
}

let lastPlace = [9, 9];

function atPlace(x1, x2, isDrag) {
  const mode = pointerMode();
  if (mode === "inspect") return inspect(x1, x2);
  if (isDrag && Math.hypot(x1 - lastPlace[0], x2 - lastPlace[1]) < 0.15) return undefined;
  lastPlace = [x1, x2];
  const round = (x) => Math.round(100 * x) / 100;
  let painted = settings.painted;
  if (mode === "erase") {
    const far = ([a, b, y]) => Math.hypot(a - x1, (session.is_line ? y : b) - x2) > 0.2;
    painted = painted.filter(far);
    if (painted.length === settings.painted.length) return undefined;
  } else {
    if (painted.length >= offered.most_painted) return undefined;
    painted = [...painted, mode === "y" ? [round(x1), 0, round(x2)] : [round(x1), round(x2), Number(mode)]];
  }
  controls.change("painted", painted);
  return undefined;
}

// What the network computes at one place, and what flows back where a point lies there.
async function inspect(x1, x2) {
  if (!session || !frame) return;
  const mine = changes;
  const found = await attempt(() => api.point(session.session, frame.epoch, [x1, x2]));
  if (found && mine === changes) showPoint(byId("point"), found, session);
}

function closePoint() {
  byId("point").hidden = true;
}

// ---- a table of the user ------------------------------------------------------------------

async function readFile() {
  const [file] = byId("file").files;
  if (!file) return;
  let text;
  const found = await attempt(async () => {
    if (file.size > offered.table_bytes) {
      throw new Error(`The file has ${(file.size / 2 ** 20).toFixed(1)} MiB, and a table here has at ` +
        `most ${offered.table_bytes / 2 ** 20}; leave some of its rows out.`);
    }
    text = await file.text();
    return api.describeTable(text);
  });
  if (!found) return;
  const options = (names) => names.map((name) => element("option", {value: name}, name));
  const all = found.columns.map((column) => column.name);
  const numbers = found.columns.filter((column) => column.is_number).map((column) => column.name);
  byId("target").replaceChildren(...options(all));
  for (const id of ["axis1", "axis2"]) {
    byId(id).replaceChildren(
      element("option", {value: ""}, "principal component"), ...options(numbers));
  }
  byId("target").value = all.at(-1);
  byId("table").hidden = false;
  settings.table = text;
  settings.painted = [];
  useTable();
}

function useTable() {
  const [target, first, second] = ["target", "axis1", "axis2"].map((id) => byId(id).value);
  // Either two columns or two components.
  const axes = first && second ? [first, second] : [];
  if (Boolean(first) !== Boolean(second)) {
    say("Choose a column for both directions, or components for both.");
    return;
  }
  settings.target = target;
  settings.axes = axes;
  settings.features = ["x1", "x2"];
  controls.change("kind", "table");
}

// ---- sharing -----------------------------------------------------------------------------

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied.`);
  } catch {
    say("The browser does not let this page copy; select the text instead.");
  }
}

function drawn() {
  const caption = `fastmlp playground, epoch ${frame.epoch}, training loss ` +
    `${number(losses[frame.epoch - 1])}`;
  return toSvg({canvas: byId("surface"), layout: network.layout(), losses, testLosses, caption});
}

async function saveAs(kind) {
  if (!frame || !session) return;
  const picture = drawn();
  const blob = kind === "svg" ? new Blob([picture.text], {type: "image/svg+xml"}) :
    await toPng(picture);
  save(blob, `playground-${frame.epoch}.${kind}`);
}

async function savePoints() {
  if (!session) return;
  const found = await attempt(() => api.table(session.session));
  if (found) save(new Blob([found.csv], {type: "text/csv"}), "points.csv");
}

// ---- the beginning -------------------------------------------------------------------------

// Settings that come from a lesson or a link; activations may be one name for all layers.
function withDefaults(given) {
  const found = {...copyOf(offered.defaults), painted: [], table: "", target: "", axes: [],
    ...copyOf(given)};
  if (Array.isArray(found.hidden)) {
    const {activation} = found;
    found.activation = found.hidden.map((_, i) =>
      Array.isArray(activation) ? activation[i] ?? activation.at(-1) ?? "tanh" : activation);
  }
  return found;
}

function use(given) {
  settings = withDefaults(given);
  controls.set(settings);
  restart();
}

function useLesson(i) {
  byId("lesson").value = i;
  use(offered.lessons[i]?.settings ?? {});
}

// Show what a link holds: a lesson or settings; tells whether it holds any.
function follow(hash) {
  const lesson = offered.lessons.findIndex(({name}) => hash === `#lesson=${name}`);
  if (lesson >= 0) {
    useLesson(lesson);
    return true;
  }
  const given = fromHash(hash);
  if (!given || !haveShapes(given, offered.defaults)) return false;
  byId("lesson").value = -1;
  use(given);
  return true;
}

function debounced(action, wait) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, wait);
  };
}

function listen() {
  byId("run").addEventListener("click", () => (running ? pause() : start()));
  byId("step").addEventListener("click", step);
  byId("reset").addEventListener("click", () => {
    pause();
    begin();
  });
  byId("retry").addEventListener("click", begin);
  byId("seed").addEventListener("change", (event) => {
    if (event.target.checkValidity() && event.target.value !== "") {
      controls.change("seed", Number(event.target.value));
    }
  });
  byId("next-seed").addEventListener("click", () => controls.change("seed", settings.seed + 1));
  byId("lesson").addEventListener("change", (event) => {
    pause();
    useLesson(Number(event.target.value));
  });
  byId("add-layer").addEventListener("click", () => {
    settings.activation = [...settings.activation, settings.activation.at(-1) ?? "tanh"];
    controls.change("hidden", [...settings.hidden, settings.hidden.at(-1) ?? 4]);
  });
  byId("remove-layer").addEventListener("click", () => {
    settings.activation = settings.activation.slice(0, -1);
    controls.change("hidden", settings.hidden.slice(0, -1));
  });
  byId("history").addEventListener("input", debounced(async () => {
    pause();
    if (!session) return;
    const mine = changes, epoch = Number(byId("history").value);
    const found = await attempt(() => api.show(session.session, epoch, losses.length));
    if (!found || mine !== changes) return;
    show(found);
    describe();
    updateCode();
  }, 10));
  byId("file").addEventListener("change", readFile);
  for (const id of ["target", "axis1", "axis2"]) byId(id).addEventListener("change", useTable);
  byId("log").addEventListener("change", drawCharts);
  byId("copy-link").addEventListener("click", () => copy(location.href, "Link"));
  byId("copy-python").addEventListener("click", () => copy(byId("python").textContent, "Python"));
  byId("copy-shell").addEventListener("click", () => copy(byId("shell").textContent, "Command"));
  byId("save-png").addEventListener("click", () => saveAs("png"));
  byId("save-svg").addEventListener("click", () => saveAs("svg"));
  byId("save-points").addEventListener("click", savePoints);
  addEventListener("pagehide", () => session && api.endSession(session.session));
  addEventListener("hashchange", () => {
    follow(location.hash);
  });
  addEventListener("resize", drawCharts);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => frame && show(frame));
}

async function main() {
  offered = await attempt(api.catalogue);
  if (!offered) {
    byId("retry").addEventListener("click", () => location.reload());
    return;
  }
  const lessons = offered.lessons.map(({title}, i) => element("option", {value: i}, title));
  byId("lesson").append(...lessons, element("option", {value: -1}, "My own"));
  byId("speed").append(...SPEEDS.map((n) =>
    element("option", {value: n}, `${n} epoch${n === 1 ? "" : "s"} a frame`)));
  byId("speed").value = 10;
  settings = withDefaults({});
  controls = new Controls(offered, settings, (key) => {
    if (key !== "seed") byId("lesson").value = -1;
    restart();
  });
  surface = new Surface(byId("surface"), offered.radius, offered.grid, atPlace);
  network = new Network(byId("graph"), byId("layers"), byId("told"), offered.unit_grid, (chosen) => {
    surface.selected = network.picture(chosen);
    surface.draw();
  });
  listen();
  if (follow(location.hash)) return;
  useLesson(0);
  if (location.hash.length > 1) {
    byId("story").prepend("The link holds no settings that can be read. This is the first lesson. ");
  }
}

main();
