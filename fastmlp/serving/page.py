"""The one page of a server: what the model needs, and a form that tries a row.

It loads nothing from elsewhere, and its policy lets it do nothing but what its own script does.
"""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import quote

from .. import __version__
from .answers import to_json
from .batching import Served
from .schema import InputColumn, Schema

_STYLE = """
:root {
  color-scheme: light dark;
  --line: #8886;
  --soft: #8882;
  --accent: light-dark(#0550ae, #79b8ff);
}
* { box-sizing: border-box;
}
body {
  font: 16px/1.5 system-ui, sans-serif;
  margin: 0 auto;
  padding: 1rem;
  max-width: 64rem;
}
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere;
}
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem;
}
form {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr));
  gap: .75rem;
}
label {
  display: flex;
  flex-direction: column;
  font-size: .9rem;
  overflow-wrap: anywhere;
  min-width: 0;
}
label small { opacity: .75;
}
input {
  font: inherit;
  padding: .35rem .5rem;
  border: 1px solid var(--line);
  border-radius: .3rem;
  width: 100%;
  margin-top: auto;
}
button {
  font: inherit;
  font-weight: 600;
  padding: .5rem 1.2rem;
  border: 0;
  border-radius: .3rem;
  background: var(--accent);
  color: light-dark(#fff, #111);
  cursor: pointer;
  justify-self: start;
  align-self: end;
}
table { border-collapse: collapse;
}
td, th {
  text-align: left;
  padding: .25rem 1rem .25rem 0;
  border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere;
}
output { display: block; min-height: 3rem;
}
.error { color: light-dark(#b00020, #ff8a80); overflow-wrap: anywhere;
}
meter { width: 8rem; max-width: 30vw;
}
pre {
  white-space: pre-wrap;
  overflow-wrap: anywhere;
  background: var(--soft);
  padding: .75rem;
  overflow-x: auto;
  border-radius: .3rem;
  font-size: .85rem;
}
a { color: var(--accent);
}
"""

_SCRIPT = """
"use strict";
const form = document.querySelector("form"), shown = document.querySelector("output");
function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}
function value(input) {
  const text = input.value.trim();
  if (text === "") return null;
  const number = Number(text);
  return input.dataset.kind === "number" && Number.isFinite(number) ? number : text;
}
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const row = {};
  for (const input of form.querySelectorAll("input")) row[input.name] = value(input);
  shown.replaceChildren(element("p", "..."));
  try {
    const answer = await fetch("predict", {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({rows: [row]}),
    });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    const table = element("table");
    for (const [name, number] of Object.entries(found.predictions[0])) {
      const line = element("tr");
      const isShare = form.dataset.probabilities.includes(JSON.stringify(name));
      const isNumber = typeof number === "number";
      const text = String(isNumber ? Number(number.toPrecision(6)) : number);
      line.append(element("th", name), element("td", text));
      if (isShare) {
        const meter = element("meter"), cell = element("td");
        meter.value = number;
        meter.setAttribute("aria-label", name);
        cell.append(meter);
        line.append(cell);
      }
      table.append(line);
    }
    shown.replaceChildren(table);
  } catch (error) {
    const words = element("p", error.message);
    words.className = "error";
    shown.replaceChildren(words);
  }
});
"""
_KINDS = {"numeric": "number", "text": "text", "date": "date or time", "words": "free text"}


@cache
def content_policy() -> str:
    """Return the page's content security policy: its own style and script, and nothing else."""

    def digest(text: str) -> str:
        return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; style-src {digest(_STYLE)}; script-src {digest(_SCRIPT)}; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def page(served: Served) -> str:
    """Write the page of a model, as HTML.

    Names and levels come from a table, and are escaped.
    """
    schema, name = served.schema, escape(served.name)
    fields = "\n".join(_field(i, column) for i, column in enumerate(schema.columns))
    row = {column.key: column.example for column in schema.columns}
    example = escape(to_json({"rows": [row]}).decode().replace("'", r"\u0027"))
    probabilities = escape(to_json(schema.probabilities).decode())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{name}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{name}</h1>
<p>{_predicts(schema)} A field left empty is a missing value.</p>
<form data-probabilities="{probabilities}">
{fields}
<button>Predict</button>
</form>
<h2>Prediction</h2>
<output></output>
<h2>For programs</h2>
<pre>curl -H 'Content-Type: application/json' \\
  -d '{example}' \\
  ADDRESS/predict</pre>
<p>Or <code>text/csv</code> in place of JSON. The addresses are described in
<a href="openapi.json">openapi.json</a>; the Open Inference Protocol has
<a href="v2/models/{quote(served.name, safe="")}">the model's inputs and outputs</a>.</p>
<p><small>fastmlp {escape(__version__)}</small></p>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _predicts(schema: Schema) -> str:
    """Say what is predicted."""
    listed = ", ".join(f"<b>{escape(name)}</b>" for name in schema.values)
    n_columns = len(schema.columns)
    columns = f"{n_columns} column{'s' * (n_columns != 1)}"
    if schema.classes is not None:
        return f"Predicts {listed}, one of {len(schema.classes)} classes, by {columns}."
    return f"Predicts {listed} by {columns}."


def _field(number: int, column: InputColumn) -> str:
    """Write the label and the field of a column."""
    is_number = column.kind == "numeric" and not column.form
    told = _KINDS[column.kind] + (f", such as {column.form}" if column.form and
                                  column.kind == "numeric" else "")  # fmt: skip
    value: Any = "" if column.example is None else column.example
    attributes = f'name="{escape(column.key)}" value="{escape(str(value))}"'
    attributes += f' data-kind="{"number" if is_number else "text"}" autocomplete="off"'
    if is_number:
        attributes += ' inputmode="decimal"'
    levels = ""
    if column.levels:
        options = "".join(f'<option value="{escape(level)}">' for level in column.levels)
        levels = f'<datalist id="levels{number}">{options}</datalist>'
        attributes += f' list="levels{number}"'
    return (
        f"<label>{escape(column.key)} <small>{escape(told)}</small>"
        f"<input {attributes}>{levels}</label>"
    )
