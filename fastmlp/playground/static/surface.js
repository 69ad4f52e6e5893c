// The large picture: what the network gives all over the plane, and the points.

import {css, paint, pointColor} from "./colors.js";

const SIZE = 600;

// Makes the picture on a canvas. `radius` is how far the plane reaches from its middle, and
// `onPlace(x1, x2, isDrag)` is told where the user clicks, draws, or presses Enter.
export class Surface {
  constructor(canvas, radius, grid, onPlace) {
    this.canvas = canvas;
    this.radius = radius;
    this.grid = grid;
    this.onPlace = onPlace;
    this.pixels = document.createElement("canvas");
    this.cross = null;  // where the arrow keys have moved, as x1 and x2
    this.selected = null;  // the bytes of a unit that is shown in place of the output
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons === 1 && canvas.classList.contains("paints")) this.#tell(event, true);
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => {
      this.cross = null;
      this.draw();
    });
  }

  // `session` has the points, `frame` the surface or the curve.
  show(session, frame) {
    this.session = session;
    this.frame = frame;
    this.draw();
  }

  draw() {
    const {session, frame} = this;
    if (!session) return;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, SIZE, SIZE);
    if (session.is_line) this.#drawGrid(context);
    else this.#drawPlane(context, frame);
    this.#drawPoints(context);
    if (session.is_line && frame.curve) this.#drawCurve(context, frame.curve);
    if (this.cross) this.#drawCross(context);
  }

  #drawPlane(context, frame) {
    const picture = this.selected ?? frame.surface;
    if (picture) {
      const width = Math.round(Math.sqrt(atob(picture).length));
      paint(this.pixels, picture, width, this.selected ? null : frame.classes);
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.pixels, 0, 0, SIZE, SIZE);
    }
    if (!this.selected && frame.surface && this.session.classes.length === 2) {
      this.#drawBorder(context);
    }
  }

  // The border of two classes, where the output is 1/2.
  #drawBorder(context) {
    const bytes = atob(this.frame.surface), n = this.grid, step = SIZE / n;
    const high = (row, column) => bytes.charCodeAt(row * n + column) >= 128;
    context.strokeStyle = css("--ink");
    context.lineWidth = 1.6;
    context.beginPath();
    const value = (row, column) => bytes.charCodeAt(row * n + column) - 127.5;
    // Marching squares between the middles of four pixels.
    for (let row = 0; row + 1 < n; row++) {
      for (let column = 0; column + 1 < n; column++) {
        const corners = [[row, column], [row, column + 1], [row + 1, column + 1], [row + 1, column]];
        const first = high(...corners[0]);
        if (corners.every((corner) => high(...corner) === first)) continue;
        const cuts = [];
        for (let i = 0; i < 4; i++) {
          const a = corners[i], b = corners[(i + 1) % 4], va = value(...a), vb = value(...b);
          if (va < 0 === vb < 0) continue;
          const t = va / (va - vb);
          cuts.push([(a[1] + t * (b[1] - a[1]) + 0.5) * step, (a[0] + t * (b[0] - a[0]) + 0.5) * step]);
        }
        for (let i = 0; i + 1 < cuts.length; i += 2) {
          context.moveTo(...cuts[i]);
          context.lineTo(...cuts[i + 1]);
        }
      }
    }
    context.stroke();
  }

  #drawGrid(context) {
    context.strokeStyle = css("--line");
    context.lineWidth = 1;
    for (const at of [-2, -1, 0, 1, 2]) {
      const [x, y] = this.#pixel([at, at]);
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, SIZE);
      context.moveTo(0, y);
      context.lineTo(SIZE, y);
      context.stroke();
    }
  }

  #drawCurve(context, curve) {
    context.strokeStyle = css("--accent");
    context.lineWidth = 4;
    context.beginPath();
    curve.forEach((y, i) => {
      const x = -this.radius + 2 * this.radius * i / (curve.length - 1);
      const [px, py] = this.#pixel([x, y ?? 0]);
      context.lineTo(px, Math.max(-99, Math.min(SIZE + 99, py)));
    });
    context.stroke();
  }

  #drawPoints(context) {
    const {places, y, is_test: isTest, classes, is_line: isLine} = this.session;
    const height = Math.max(1e-9, ...y.map(Math.abs));
    const paper = css("--panel"), ink = css("--ink");
    places.forEach((place, i) => {
      const [px, py] = this.#pixel(isLine ? [place[0], y[i]] : place);
      context.beginPath();
      context.arc(px, py, 5.5, 0, 7);
      context.fillStyle = isLine ? css("--high") : pointColor(y[i], classes, height);
      if (isTest[i]) {  // points of the test are rings
        context.fillStyle = paper;
        context.fill();
        context.lineWidth = 2.5;
        context.strokeStyle = isLine ? css("--high") : pointColor(y[i], classes, height);
      } else {
        context.fill();
        context.lineWidth = 1.3;
        context.strokeStyle = classes.length || isLine ? paper : ink;
      }
      context.stroke();
    });
  }

  #drawCross(context) {
    const [x, y] = this.#pixel(this.cross);
    context.strokeStyle = css("--ink");
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x - 12, y);
    context.lineTo(x + 12, y);
    context.moveTo(x, y - 12);
    context.lineTo(x, y + 12);
    context.stroke();
  }

  #pixel([x1, x2]) {
    const scale = SIZE / 2 / this.radius;
    return [SIZE / 2 + scale * x1, SIZE / 2 - scale * x2];
  }

  #press(event) {
    if (event.button === 0) this.#tell(event, false);
  }

  #tell(event, isDrag) {
    const box = this.canvas.getBoundingClientRect();
    const part = (at, start, size) => ((at - start) / size * 2 - 1) * this.radius;
    const x1 = part(event.clientX, box.left, box.width), x2 = -part(event.clientY, box.top, box.height);
    if (Math.max(Math.abs(x1), Math.abs(x2)) <= this.radius) this.onPlace(x1, x2, isDrag);
  }

  #key(event) {
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
    const move = moves[event.key], step = event.shiftKey ? 0.5 : 0.1;
    if (move) {
      const limit = (x) => Math.max(-this.radius, Math.min(this.radius, x));
      this.cross = (this.cross ?? [0, 0]).map((x, i) => limit(x + step * move[i]));
      this.draw();
    } else if (event.key === "Enter" || event.key === " ") {
      this.cross ??= [0, 0];
      this.onPlace(...this.cross, false);
    } else {
      return;
    }
    event.preventDefault();
  }
}
