// Curves by epoch.

import {css} from "./colors.js";
import {number} from "./network.js";

const LEFT = 46, BOTTOM = 16, TOP = 6, RIGHT = 6;

// Draw curves on a canvas. Each has `values`, of which some may be null, and a `color`, and may be
// `dashed`. `epoch` is the one that is shown.
export function drawChart(canvas, curves, {isLog = false, epoch = 0} = {}) {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const scale = scaleOf(curves, isLog, width, height);
  drawAxes(context, scale, width, height);
  for (const {values, color, dashed} of curves) {
    context.strokeStyle = css(color);
    context.lineWidth = 2;
    context.setLineDash(dashed ? [5, 3] : []);
    context.stroke(new Path2D(pathOf(values, scale)));
  }
  context.setLineDash([]);
  if (epoch && scale.n > 1) {
    context.strokeStyle = css("--soft");
    context.lineWidth = 1;
    context.stroke(new Path2D(`M${scale.x(epoch - 1)} ${TOP}V${height - BOTTOM}`));
  }
}

export function scaleOf(curves, isLog, width, height) {
  let low = Infinity, high = -Infinity, n = 0;
  for (const {values} of curves) {
    n = Math.max(n, values.length);
    for (const value of values) {
      if (value === null || (isLog && value <= 0)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) [low, high] = isLog ? [0.1, 1] : [0, 1];
  if (!isLog && low > 0) low = 0;
  if (low === high) high = low + (Math.abs(low) || 1);
  const level = isLog ? Math.log10 : (x) => x;
  const place = (value) => {
    const share = (level(Math.max(value, isLog ? low : -Infinity)) - level(low)) /
      (level(high) - level(low));
    return height - BOTTOM - share * (height - BOTTOM - TOP);
  };
  const x = (i) => LEFT + i / Math.max(1, n - 1) * (width - LEFT - RIGHT);
  return {low, high, n, x, y: place};
}

// The path of a curve, with no more than about two points for each pixel.
export function pathOf(values, {x, y}) {
  const stride = Math.max(1, Math.floor(values.length / 600));
  let path = "", isOpen = false;
  for (let i = 0; i < values.length; i++) {
    if (i % stride && i !== values.length - 1) continue;
    if (values[i] === null) {
      isOpen = false;
      continue;
    }
    path += `${isOpen ? "L" : "M"}${x(i).toFixed(1)} ${y(values[i]).toFixed(1)}`;
    isOpen = true;
  }
  return path;
}

// A number that has room beside the axis.
export function short(x) {
  const text = number(x);
  return text.length > 7 ? x.toExponential(0) : text;
}

function drawAxes(context, {low, high, n}, width, height) {
  context.strokeStyle = css("--line");
  context.lineWidth = 1;
  context.stroke(new Path2D(`M${LEFT} ${TOP}V${height - BOTTOM}H${width - RIGHT}`));
  context.fillStyle = css("--soft");
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  context.fillText(short(high), LEFT - 4, TOP + 9);
  context.fillText(short(low), LEFT - 4, height - BOTTOM);
  context.fillText(String(n), width - RIGHT, height - 3);
  context.textAlign = "left";
  context.fillText("1", LEFT, height - 3);
}
