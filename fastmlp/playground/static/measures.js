// What stands beside the pictures: the norms of the gradients, dead units, and the legend.

import {css, pointColor} from "./colors.js";
import {element} from "./controls.js";
import {number} from "./network.js";

// The rows of the table are made once for a network, and then only filled.
export function showMeasures(rows, found, sizes) {
  const norms = found.gradients ?? [];
  if (rows.childElementCount !== sizes.length - 1) {
    rows.replaceChildren(...sizes.slice(1).map((size, i) => {
      const name = i + 2 === sizes.length ? "Output" : `Layer ${i + 1}`;
      const meter = element("meter", {max: 1, "aria-label": `Norm of the gradient, ${name}`});
      return element("tr", {}, element("th", {scope: "row"}, name), element("td", {}, String(size)),
        element("td", {}, meter, element("span")), element("td"));
    }));
  }
  const largest = Math.max(...norms, 1e-300);
  [...rows.children].forEach((row, i) => {
    row.children[1].textContent = sizes[i + 1];
    row.querySelector("meter").value = norms[i] ? norms[i] / largest : 0;
    row.querySelector("span").textContent = number(norms[i]);
    const share = found.dead?.[i];
    row.lastChild.textContent = typeof share === "number" ? `${Math.round(100 * share)} %` : "–";
  });
}

// Which colour is which class, and what the directions are where these are columns.
export function showLegend(list, {classes, axes}, isTable) {
  const of = (name, isFull, color) => {
    const mark = element("i", {className: isFull ? "full" : ""});
    mark.style.color = color;
    return element("li", {}, mark, name);
  };
  list.replaceChildren(
    ...classes.map((name, i) =>
      of(isTable ? name : `class ${name}`, true, pointColor(i, classes, 1))),
    of("test", false, css("--soft")),
    ...(isTable ? [element("li", {}, `horizontal: ${axes[0]}, vertical: ${axes[1]}`)] : []));
}
