// What is told of a place that was clicked: what every unit gives there, and, where a point of the
// data lies, what flows back from its loss.

import {element} from "./controls.js";
import {number} from "./network.js";

// `found` is the answer of the server, `session` what it has told of the network.
export function showPoint(section, found, session) {
  const {point, layers} = found;
  const place = found.place.map((x) => x.toFixed(2)).join(", ");
  const inputs = found.inputs.map((value, i) => `${session.features[i]} = ${number(value)}`);
  const words = point
    ? `Target ${shown(point.target)}, loss ${number(point.loss)}. The signal of a unit, its error signal, is the ` +
      "derivative of this loss by the sum that goes into it, and the gradient of its bias, too."
    : "Click a point of the data to see its error signals and gradients.";
  const names = ["Unit", "Gives", ...(point ? ["Signal", "Gradients of weights"] : [])];
  const table = element("table", {},
    element("thead", {}, element("tr", {},
      ...names.map((name) => element("th", {scope: "col"}, name)))),
    ...layers.map((values, i) => element("tbody", {},
      ...values.map((value, j) => row(unitName(layers, i, j), value, point, i, j)))));
  section.replaceChildren(
    element("h3", {}, `${point ? "The point" : "At"} (${place})`),
    element("p", {}, inputs.join(", ")), element("p", {className: "hint"}, words),
    element("div", {className: "graph-table", tabIndex: 0, role: "region",
      "aria-label": "Numbers of every unit"}, table));
  section.hidden = false;
}

function row(name, value, point, i, j) {
  const cells = [number(value)];
  if (point) {
    cells.push(number(point.signals[i][j]), point.gradients[i][j].map(number).join(", "));
  }
  return element("tr", {}, element("th", {scope: "row"}, name),
    ...cells.map((text) => element("td", {}, text)));
}

function unitName(layers, i, j) {
  if (i + 1 < layers.length) return `${i + 1}.${j + 1}`;
  return layers[i].length > 1 ? `Output ${j + 1}` : "Output";
}

const shown = (target) => (typeof target === "number" ? number(target) : target);
