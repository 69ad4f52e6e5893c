// Colours, and pictures made of bytes.

const LOW = [38, 108, 184], HIGH = [226, 118, 22];
const CLASSES = [
  [38, 108, 184], [226, 118, 22], [34, 140, 80], [190, 60, 70],
  [130, 90, 180], [130, 90, 60], [210, 90, 170], [110, 110, 110],
];

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const middle = () => (isDark() ? [24, 26, 31] : [250, 250, 250]);

// The colour of a value from 0 to 1, of which 1/2 is the middle.
function between(value) {
  const end = value < 0.5 ? LOW : HIGH, share = Math.abs(2 * value - 1) ** 0.85 * (isDark() ? 0.6 : 0.62);
  return middle().map((m, i) => m + (end[i] - m) * share);
}

let known = {dark: null, table: null};
function table() {
  const dark = isDark();
  if (known.dark !== dark) {
    known = {dark, table: Array.from({length: 256}, (_, i) => between(i / 255))};
  }
  return known.table;
}

export function bytesOf(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

// Draw a square or wide picture on a canvas of as many pixels.
export function paint(canvas, text, width, classes) {
  const bytes = bytesOf(text), height = bytes.length / width, colors = table();
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d"), picture = context.createImageData(width, height);
  const chosen = classes && bytesOf(classes), back = middle();
  for (let i = 0; i < bytes.length; i++) {
    let color = colors[bytes[i]];
    if (chosen) {
      const share = 0.6 * bytes[i] / 255, of = CLASSES[chosen[i] % CLASSES.length];
      color = back.map((b, k) => b + (of[k] - b) * share);
    }
    picture.data.set(color, 4 * i);
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

// A unit of a network on a line: its curve, from minus the largest value to that.
export function paintCurve(canvas, text) {
  const bytes = bytesOf(text), size = 40;
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, size, size);
  context.strokeStyle = css("--accent");
  context.lineWidth = 2;
  context.beginPath();
  bytes.forEach((byte, i) => {
    context.lineTo(i * size / (bytes.length - 1), size - 2 - byte / 255 * (size - 4));
  });
  context.stroke();
}

export const css = (name) => getComputedStyle(probe(name)).color;

// Custom properties with light-dark() are resolved where they are used as a colour.
const probes = new Map();
function probe(name) {
  if (!probes.has(name)) {
    const element = document.createElement("span");
    element.hidden = true;
    element.style.color = `var(${name})`;
    document.body.append(element);
    probes.set(name, element);
  }
  return probes.get(name);
}

export const rgb = (color) => `rgb(${color.map(Math.round).join(" ")})`;

export function pointColor(y, classes, height) {
  if (classes.length) return rgb(CLASSES[y % CLASSES.length]);
  const share = Math.max(-1, Math.min(1, y / height)), end = share < 0 ? LOW : HIGH;
  return rgb(middle().map((m, i) => m + (end[i] - m) * Math.abs(share)));
}

export const weightColor = (weight) => rgb(weight < 0 ? LOW : HIGH);
