// The picture of the network: a small picture for each unit, a line for each weight.

import {shownFeature} from "./controls.js";
import {paint, paintCurve, weightColor} from "./colors.js";

const SVG = "http://www.w3.org/2000/svg";
const MOST_EDGES_TOUCHED = 1200;

// Three digits; small numbers have an exponent rather than many zeros.
export function number(x) {
  if (x === null || x === undefined) return "–";
  return x !== 0 && Math.abs(x) < 1e-4 ? x.toExponential(2) : String(Number(x.toPrecision(3)));
}

function svg(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Draws into `element`, below the `heads` of the layers, and tells `onSelect(layer, unit)` which unit was chosen, or null.
// Layer 0 are the inputs.
export class Network {
  constructor(element, heads, told, unitGrid, onSelect) {
    this.element = element;
    this.heads = heads;
    this.told = told;
    this.unitGrid = unitGrid;
    this.onSelect = onSelect;
    // The room is that of the panel, which scrolls where the network is wider.
    new ResizeObserver(() => this.session && this.#place()).observe(element.parentNode);
  }

  // Build the units and lines of another network.
  build(session, hidden) {
    this.session = session;
    this.frame = null;
    const n_outputs = session.output_activation === "softmax" ? session.classes.length : 1;
    this.sizes = [session.features.length, ...hidden, n_outputs];
    this.chosen = null;
    this.lines = svg("svg", {"aria-hidden": "true"});
    this.units = this.sizes.map((size, layer) => Array.from({length: size}, (_, unit) =>
      this.#unit(layer, unit)));
    this.names = this.units[0].map((_, i) => this.#label(shownFeature(session.features[i])));
    this.edges = [];
    for (let layer = 0; layer + 1 < this.sizes.length; layer++) {
      for (let from = 0; from < this.sizes[layer]; from++) {
        for (let to = 0; to < this.sizes[layer + 1]; to++) this.#edge(layer, from, to);
      }
    }
    this.element.replaceChildren(this.lines, ...this.units.flat(), ...this.names);
    this.#place();
    session.feature_pictures.forEach((picture, i) => this.#paint(this.units[0][i], picture));
  }

  show(frame) {
    this.frame = frame;
    if (!frame.is_finite) return;
    frame.units.forEach((layer, i) => layer.forEach((picture, unit) =>
      this.#paint(this.units[i + 1][unit], picture)));
    this.#paintOutputs(frame);
    for (const edge of this.edges) {
      const weight = frame.weights[edge.layer][edge.from][edge.to];
      const color = weightColor(weight);
      if (edge.color !== color) edge.line.setAttribute("stroke", (edge.color = color));
      const width = Math.min(8, 0.4 + 1.6 * Math.abs(weight) ** 0.8).toFixed(1);
      if (edge.width !== width) edge.line.setAttribute("stroke-width", (edge.width = width));
    }
    if (this.telling) this.telling();
  }

  // The picture of a unit in the large picture's size, or null for the output.
  picture(chosen) {
    if (!chosen || !this.frame?.is_finite) return null;
    const [layer, unit] = chosen;
    return layer ? this.frame.units[layer - 1]?.[unit] : this.session.feature_pictures[unit];
  }

  // Where units are and how lines run, for an export.
  layout() {
    return {
      width: this.element.offsetWidth, height: this.element.offsetHeight,
      units: this.units.flat().map((unit) => ({
        x: unit.offsetLeft, y: unit.offsetTop, size: unit.offsetWidth,
        picture: unit.firstChild.toDataURL(),
      })),
      lines: this.edges.map(({line}) => ({
        path: line.getAttribute("d"), color: line.getAttribute("stroke"),
        width: line.getAttribute("stroke-width"),
      })),
    };
  }

  #unit(layer, unit) {
    const button = document.createElement("button"), canvas = document.createElement("canvas");
    button.type = "button";
    button.append(canvas);
    button.setAttribute("aria-label", this.#name(layer, unit));
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => this.choose([layer, unit]));
    button.addEventListener("pointerenter", () => this.#tell(() => this.#describe(layer, unit)));
    button.addEventListener("focus", () => this.#tell(() => this.#describe(layer, unit)));
    return button;
  }

  // Choose a unit for the large picture; the same one again lets it go.
  choose(unit) {
    const isOutput = unit && unit[0] === this.sizes.length - 1;
    const same = this.chosen && unit && unit.join() === this.chosen.join();
    this.chosen = same || isOutput ? null : unit;
    this.units.forEach((row, layer) => row.forEach((button, i) =>
      button.setAttribute("aria-pressed", String(this.chosen?.join() === `${layer},${i}`))));
    this.onSelect(this.chosen);
  }

  #name(layer, unit) {
    if (layer === 0) return `Input ${this.session.features[unit]}`;
    if (layer === this.sizes.length - 1) return this.#nameOfOutput(unit);
    return `Layer ${layer}, unit ${unit + 1}`;
  }

  #nameOfOutput(unit) {
    return this.sizes.at(-1) > 1 ? `Output ${this.session.classes[unit]}` : "Output";
  }

  #label(text) {
    const made = document.createElement("span");
    made.textContent = text;
    return made;
  }

  #edge(layer, from, to) {
    const line = svg("path"), edge = {layer, from, to, line, touch: null};
    this.lines.append(line);
    if (this.edges.length < MOST_EDGES_TOUCHED) {
      edge.touch = svg("path", {class: "touch"});
      edge.touch.addEventListener("pointerenter", () => {
        line.classList.add("told");
        this.#tell(() => {
          const weight = this.frame?.weights?.[layer][from][to];
          return `Weight ${number(weight)}, from ${this.#name(layer, from)} to ` +
            `${this.#name(layer + 1, to)}.`;
        });
      });
      edge.touch.addEventListener("pointerleave", () => line.classList.remove("told"));
      this.lines.append(edge.touch);
    }
    this.edges.push(edge);
  }

  #tell(words) {
    this.telling = () => {
      this.told.textContent = words();
    };
    this.telling();
  }

  #describe(layer, unit) {
    const name = this.#name(layer, unit);
    if (layer === 0 || !this.frame?.is_finite) return `${name}.`;
    const weights = this.frame.weights[layer - 1].map((row, i) =>
      `${number(row[unit])} × ${layer === 1 ? this.session.features[i] : `unit ${i + 1}`}`);
    return `${name}: bias ${number(this.frame.biases[layer - 1][unit])}, weights ` +
      `${weights.join(", ")}.`;
  }

  #paint(button, picture) {
    if (this.session.is_line) paintCurve(button.firstChild, picture);
    else paint(button.firstChild, picture, this.unitGrid);
  }

  #paintOutputs(frame) {
    const [first, ...others] = this.units.at(-1);
    if (frame.surface) {
      const width = Math.round(Math.sqrt(atob(frame.surface).length));
      for (const unit of [first, ...others]) {
        paint(unit.firstChild, frame.surface, width, frame.classes);
      }
    } else if (frame.curve) {
      const largest = Math.max(1e-9, ...frame.curve.map(Math.abs));
      const bytes = frame.curve.map((y) => Math.round(127.5 + 127.5 * y / largest));
      paintCurve(first.firstChild, btoa(String.fromCharCode(...bytes)));
    }
  }

  // Put everything where the width of the panel and the largest layer want it.
  #place() {
    const columns = this.sizes.length, largest = Math.max(...this.sizes);
    const size = largest > 10 ? 24 : largest > 7 ? 30 : 38, gap = size > 30 ? 14 : 8;
    const room = this.element.parentNode.clientWidth, n_hidden = columns - 2;
    const ends = n_hidden > 3 ? 62 : 74;
    const step = Math.max(76, (room - 2 * ends) / Math.max(1, n_hidden));
    const width = n_hidden ? 2 * ends + step * n_hidden : Math.max(300, room);
    const height = Math.max(180, largest * (size + gap) + 8);
    this.element.style.width = `${width}px`;
    this.element.style.height = `${height}px`;
    this.lines.setAttribute("width", width);
    this.lines.setAttribute("height", height);
    this.lines.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const middle = (layer) => {
      if (layer === 0) return 40;
      return layer === columns - 1 ? width - ends / 2 : ends + step * (layer - 0.5);
    };
    const top = (layer, unit) => height / 2 + (unit - this.sizes[layer] / 2) * (size + gap) + gap / 2;
    this.heads.style.width = `${width}px`;
    this.heads.classList.toggle("narrow", step < 112);
    [...this.heads.children].forEach((head, layer) => {
      head.style.left = `${middle(layer)}px`;
    });
    this.units.forEach((row, layer) => row.forEach((button, unit) => {
      button.style.width = button.style.height = `${size}px`;
      button.style.left = `${middle(layer) - size / 2}px`;
      button.style.top = `${top(layer, unit)}px`;
    }));
    this.names.forEach((name, unit) => {
      name.style.left = `${Math.max(0, middle(0) - 40)}px`;
      name.style.top = `${top(0, unit) - 15}px`;
    });
    for (const {layer, from, to, line, touch} of this.edges) {
      const x1 = middle(layer) + size / 2, x2 = middle(layer + 1) - size / 2;
      const y1 = top(layer, from) + size / 2, y2 = top(layer + 1, to) + size / 2;
      const bend = (x2 - x1) / 2;
      const path = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
      line.setAttribute("d", path);
      touch?.setAttribute("d", path);
    }
  }
}
