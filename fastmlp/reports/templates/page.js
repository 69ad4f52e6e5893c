"use strict";
// A click on the head of a column sorts the rows: numbers by size, largest first, texts from A on.
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rows = [...body.rows];
      const keyed = rows.some((row) => row.cells[place].dataset.key !== undefined);
      const before = head.getAttribute("aria-sort");
      const up = before ? before === "descending" : !keyed;
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => Number(row.cells[place].dataset.key ?? NaN);
      const text = (row) => row.cells[place].textContent;
      rows.sort((a, b) => {
        const order = keyed ? (key(a) || 0) - (key(b) || 0) : text(a).localeCompare(text(b));
        return up ? order : -order;
      });
      body.append(...rows);
    });
  });
}
