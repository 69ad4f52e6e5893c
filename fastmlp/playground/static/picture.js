// The page's pictures as one file: SVG, and PNG made of it.

import {css} from "./colors.js";
import {pathOf, scaleOf, short} from "./charts.js";

const NS = "http://www.w3.org/2000/svg", SIDE = 420, GAP = 24;

function make(name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Returns the text of an SVG file with the surface, the network and the losses.
export function toSvg({canvas, layout, losses, testLosses, caption}) {
  const width = SIDE + layout.width + 3 * GAP;
  const height = Math.max(SIDE, layout.height) + 190 + 2 * GAP;
  const root = make("svg", {xmlns: NS, width, height, viewBox: `0 0 ${width} ${height}`});
  root.append(
    make("rect", {width, height, fill: css("--panel")}),
    make("image", {x: GAP, y: GAP, width: SIDE, height: SIDE, href: canvas.toDataURL()}),
  );
  const network = make("g", {transform: `translate(${SIDE + 2 * GAP} ${GAP})`});
  for (const {path, color, width: stroke} of layout.lines) {
    network.append(make("path", {d: path, fill: "none", stroke: color, "stroke-width": stroke}));
  }
  for (const {x, y, size, picture} of layout.units) {
    network.append(
      make("rect", {x, y, width: size, height: size, fill: css("--panel"), stroke: css("--control")}),
      make("image", {x, y, width: size, height: size, href: picture, preserveAspectRatio: "none"}),
    );
  }
  root.append(network);
  root.append(chartOf(losses, testLosses, width - 2 * GAP, height - 180), make("text", {
    x: GAP, y: height - 10, fill: css("--ink"), "font-family": "sans-serif", "font-size": 14,
  }, caption));
  return {text: new XMLSerializer().serializeToString(root), width, height};
}

// The losses with their axes and names, in a group of its own.
function chartOf(losses, testLosses, width, top) {
  const curves = [{name: "training", values: losses, color: "--low"},
    {name: "test", values: testLosses, color: "--high", dashed: "5 3"}];
  const scale = scaleOf(curves, false, width, 140), foot = scale.y(scale.low);
  const chart = make("g", {
    transform: `translate(${GAP} ${top})`, "font-family": "sans-serif", "font-size": 12, fill: css("--soft"),
  });
  const left = scale.x(0);
  chart.append(
    make("path", {d: `M${left} 0V${foot}H${width}`, fill: "none", stroke: css("--line")}),
    make("text", {x: left - 6, y: 12, "text-anchor": "end"}, short(scale.high)),
    make("text", {x: left - 6, y: foot, "text-anchor": "end"}, short(scale.low)),
    make("text", {x: width, y: foot + 15, "text-anchor": "end"}, `epoch ${scale.n}`),
  );
  curves.forEach(({name, values, color, dashed}, i) => {
    const line = {fill: "none", stroke: css(color), "stroke-width": 2, "stroke-dasharray": dashed ?? "none"};
    const x = width - 110, y = 12 + 18 * i;
    chart.append(
      make("path", {d: pathOf(values, scale) || "M0 0", ...line}),
      make("path", {d: `M${x} ${y - 4}H${x + 26}`, ...line}),
      make("text", {x: x + 32, y}, name),
    );
  });
  return chart;
}

export async function toPng(drawn) {
  const address = URL.createObjectURL(new Blob([drawn.text], {type: "image/svg+xml"}));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * drawn.width;
    canvas.height = 2 * drawn.height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob(done, "image/png"));
  } finally {
    URL.revokeObjectURL(address);
  }
}

export function save(blob, name) {
  const address = URL.createObjectURL(blob), link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
