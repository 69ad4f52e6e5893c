// The forms: they change the settings, and tell `onChange()`.

import {pointColor} from "./colors.js";

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const LABELS = {
  n_points: "Points", noise: "Noise", test_share: "Share of the test", data_seed: "Seed of the data",
  loss: "Loss", solver: "Solver", learning_rate_init: "Learning rate", schedule: "Schedule",
  batch_size: "Batch size", alpha: "L2 penalty", l1: "L1 penalty", dropout: "Dropout",
  init: "Initialisation", max_iter: "Last epoch",
};
const SLIDERS = {n_points: 10, noise: 0.01, test_share: 0.05, data_seed: 1};

export class Controls {
  constructor(offered, settings, onChange) {
    this.offered = offered;
    this.settings = settings;
    this.onChange = onChange;
    this.fields = new Map();
    this.#makeKinds();
    for (const [key, step] of Object.entries(SLIDERS)) this.#makeSlider(key, step);
    this.#makeFeatures();
    this.#makeSettings();
  }

  // Show other settings, such as those of a lesson.
  set(settings) {
    this.settings = settings;
    this.show();
  }

  show() {
    const {settings, offered} = this;
    for (const [key, field] of this.fields) {
      field.value = String(settings[key]);
      if (field.shown) field.shown.textContent = field.value;
    }
    for (const radio of document.querySelectorAll("[name=kind]")) {
      radio.checked = radio.value === settings.kind;
    }
    for (const box of document.querySelectorAll("[name=feature]")) {
      box.checked = settings.features.includes(box.value);
    }
    byId("seed").value = settings.seed;
    const isLbfgs = settings.solver === "lbfgs";
    for (const key of ["learning_rate_init", "schedule", "batch_size", "l1", "dropout"]) {
      this.fields.get(key).disabled = isLbfgs || (key === "batch_size" && settings.solver === "gd");
    }
    const made = settings.kind !== "table" && settings.kind !== "painted";
    for (const key of ["n_points", "noise"]) this.fields.get(key).disabled = !made;
    byId("add-layer").disabled = settings.hidden.length >= offered.most_layers;
    byId("remove-layer").disabled = !settings.hidden.length;
    this.#makeLayers();
  }

  // Offer the losses of classes or of numbers.
  showLosses(isRegression, chosen) {
    const names = this.offered.losses[isRegression ? "regression" : "classification"];
    this.fields.get("loss").replaceChildren(...names.map((name) => element("option", {}, name)));
    this.fields.get("loss").value = chosen;
  }

  change(key, value) {
    this.settings[key] = value;
    this.show();
    this.onChange(key);
  }

  #makeKinds() {
    const kinds = [
      ...this.offered.kinds,
      {name: "painted", label: "Painted", places: [], y: []},
    ];
    for (const kind of kinds) {
      const radio = element("input", {type: "radio", name: "kind", value: kind.name});
      radio.addEventListener("change", () => this.change("kind", kind.name));
      const canvas = element("canvas", {width: 80, height: 80, "aria-hidden": "true"});
      this.#drawKind(canvas.getContext("2d"), kind);
      byId("kinds").append(element("label", {}, radio, canvas, kind.label));
    }
  }

  #drawKind(context, {name, places, y, is_line: isLine, is_regression: isRegression}) {
    const at = (x) => 40 + 36 * x / 2.4;
    places.forEach(([x1, x2], i) => {
      context.fillStyle = pointColor(y[i], isRegression ? [] : ["0", "1"], 1);
      context.beginPath();
      context.arc(at(x1), at(isLine ? -1.5 * y[i] : -x2), 3, 0, 7);
      context.fill();
    });
    if (name === "painted") {
      context.font = "34px sans-serif";
      context.textAlign = "center";
      context.fillStyle = "#888";
      context.fillText("✎", 40, 52);
    }
  }

  #makeSlider(key, step) {
    const [least, most] = this.offered.numbers[key];
    const field = element("input", {
      type: "range", min: least, max: key === "data_seed" ? 50 : most, step, id: `slider-${key}`,
    });
    field.shown = element("b");
    field.addEventListener("input", () => {
      field.shown.textContent = field.value;
    });
    field.addEventListener("change", () => this.change(key, Number(field.value)));
    this.fields.set(key, field);
    byId("data-numbers").append(
      element("label", {}, element("span", {}, LABELS[key], field.shown), field));
  }

  #makeFeatures() {
    for (const name of this.offered.features) {
      const box = element("input", {type: "checkbox", name: "feature", value: name});
      box.addEventListener("change", () => {
        const boxes = [...document.querySelectorAll("[name=feature]")];
        const chosen = boxes.filter((one) => one.checked).map((one) => one.value);
        if (!chosen.length) box.checked = true;
        else this.change("features", chosen);
      });
      byId("features").append(element("label", {}, box, shownFeature(name)));
    }
  }

  #makeSettings() {
    const {offered} = this;
    this.#select("loss", [...offered.losses.classification, ...offered.losses.regression]);
    this.#select("solver", offered.solvers);
    this.#number("learning_rate_init");
    this.#select("schedule", offered.schedules);
    this.#number("batch_size");
    this.#number("alpha");
    this.#number("l1");
    this.#number("dropout");
    this.#select("init", offered.initialisers);
    this.#number("max_iter");
  }

  #select(key, names) {
    const field = element("select", {id: `field-${key}`},
      ...names.map((name) => element("option", {}, name)));
    field.addEventListener("change", () => this.change(key, field.value));
    this.#field(key, field);
  }

  #number(key) {
    const [least, most] = this.offered.numbers[key];
    const isWhole = key === "batch_size" || key === "max_iter";
    const field = element("input", {
      type: "number", id: `field-${key}`, min: least, max: most, step: isWhole ? "1" : "any",
      inputMode: "decimal",
    });
    field.addEventListener("change", () => {
      if (field.value === "" || !field.checkValidity()) field.value = this.settings[key];
      else this.change(key, Number(field.value));
    });
    this.#field(key, field);
  }

  #field(key, field) {
    this.fields.set(key, field);
    byId("settings").append(element("label", {}, element("span", {}, LABELS[key]), field));
  }

  // The head of each hidden layer: fewer and more units, and the activation.
  #makeLayers() {
    const {hidden, activation} = this.settings, focused = document.activeElement?.id;
    const layers = hidden.map((size, i) => {
      const change = (by) => {
        const sizes = [...hidden];
        sizes[i] += by;
        this.change("hidden", sizes);
      };
      const fewer = element("button", {
        type: "button", id: `fewer-${i}`, "aria-label": `Remove a unit from layer ${i + 1}`,
        disabled: size <= 1, onclick: () => change(-1),
      }, "−");
      const more = element("button", {
        type: "button", id: `more-${i}`, "aria-label": `Add a unit to layer ${i + 1}`,
        disabled: size >= this.offered.most_units, onclick: () => change(1),
      }, "+");
      const select = element("select", {
        id: `activation-${i}`, "aria-label": `Activation of layer ${i + 1}`,
      }, ...this.offered.activations.map((name) => element("option", {}, name)));
      select.value = activation[i];
      select.addEventListener("change", () => {
        const names = [...activation];
        names[i] = select.value;
        this.change("activation", names);
      });
      return element("div", {},
        element("div", {className: "units"}, fewer, String(size),
          element("span", {className: "word"}, size === 1 ? "unit" : "units"), more),
        select);
    });
    byId("layers").replaceChildren(
      element("div", {className: "end"}, "inputs"), ...layers,
      element("div", {className: "end"}, "output"));
    if (focused) byId(focused)?.focus();
  }
}

const RAISED = {"x1^2": "x₁²", "x2^2": "x₂²", "x1*x2": "x₁x₂", "x1": "x₁", "x2": "x₂",
  "sin(x1)": "sin x₁", "sin(x2)": "sin x₂"};
export const shownFeature = (name) => RAISED[name] ?? name;
