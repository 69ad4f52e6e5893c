"""What was measured on a GPU: a record that grows command by command, and the table of it.

``gpu-NAME.json`` has all runs, by case; ``gpu-NAME.md`` is made from it. Each appears whole, after
every case, so that what fails or is interrupted later loses nothing.
"""

import json
import os
from pathlib import Path

import numpy as np

# Largest relative difference of the first epoch's mean loss between peers. To float32 rounding
# they differ by 1e-6; torch's Adam, which adds epsilon elsewhere, by 1e-5 in the wide network.
TOLERANCE = 5e-5
# Of these two the faster one counts.
GRAPHS = {"torch graph of a step": "a step", "torch graph of an epoch": "an epoch"}


class Record:
    """The results of one machine, kept in a folder under a name.

    Parameters
    ----------
    folder : path-like
    name : str
    order : sequence of str
        Names of the cases, in the order of the table; others follow.
    """

    def __init__(self, folder, name, order):
        self.path = Path(folder) / f"gpu-{name}.md"
        self._order = list(order)
        self._file = self.path.with_suffix(".json")
        found = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.parts = {"tests": {}, "cases": {}, "many": {}} | found

    def put(self, part, name, entry):
        """Add an entry, or replace the one of this name; both files are written."""
        self.parts[part][name] = entry
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write(self._file, json.dumps(self.parts, indent=1) + "\n")
        write(self.path, self.text())

    def cases(self):
        """Entries by name, in the order of the table."""
        found = self.parts["cases"]
        names = [name for name in self._order if name in found]
        return {name: found[name] for name in [*names, *(set(found) - set(names))]}

    def text(self):
        """All results, in Markdown."""
        entries = {
            **self.cases(),
            **self.parts["many"],
            **{f"tests {name}".strip(): entry for name, entry in self.parts["tests"].items()},
        }
        lines = ["# A training step on a GPU", ""]
        abouts = {}
        for name, entry in entries.items():
            abouts.setdefault(entry["about"], []).append(name)
        for about, names in abouts.items():
            lines += [about + (f" ({', '.join(names)})." if len(abouts) > 1 else "."), ""]
        lines += [
            "Adam in float32; microseconds a step, medians of runs in turn; x is a peer's time "
            "over fastmlp's, of torch's graphs that of the faster one.", "",
        ]  # fmt: skip
        if self.cases():
            lines += [*table(self.cases()), ""]
        for name, entry in entries.items():
            lines += [f"- {name}: {note}" for note in notes(entry)]
        return "\n".join(lines) + "\n"


def write(path, text):
    """Replace a file as a whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def medians(entry):
    """Microseconds a step, by peer."""
    return {name: float(np.median(times)) for name, times in entry["microseconds"].items()}


def faster_graph(times):
    """Which of torch's graphs is faster; None without one."""
    return min((name for name in GRAPHS if name in times), key=times.get, default=None)


def table(cases):
    """Lines of a table, a row for each case."""
    peers = list(dict.fromkeys(name for entry in cases.values() for name in entry["peers"]))
    others = [name for name in peers if name != "fastmlp" and name not in GRAPHS]
    has_graph = any(name in GRAPHS for name in peers)
    ratios = [*others[:1], *(["torch graph"] if has_graph else []), *others[1:]]
    header = ["case", "batch", "network", *(f"{name}, us" for name in peers)]
    header += [*(f"x {name}" for name in ratios), "TFLOP/s", "torch's product"]
    rows = [header, ["---"] * len(header)]
    for name, entry in cases.items():
        times = medians(entry)
        ours, graph = times.get("fastmlp"), faster_graph(times)
        row = [name, str(entry["batch"]), entry["network"]]
        row += [f"{times[peer]:.2f}" if peer in times else "-" for peer in peers]
        for other in ratios:
            peer = graph if other == "torch graph" else other
            cell = f"{times[peer] / ours:.2f}" if ours and peer in times else "-"
            row.append(f"{cell} ({GRAPHS[peer]})" if peer in GRAPHS and cell != "-" else cell)
        row.append(f"{entry['flop'] / ours / 1e6:.2f}" if ours else "-")
        row.append(f"{np.median(entry['product']):.1f}" if entry["product"] else "-")
        rows.append(row)
    return ["| " + " | ".join(row) + " |" for row in rows]


def faults(entry):
    """What went wrong, in words."""
    found = [f"{name} FAILED: {why}" for name, why in entry.get("failures", {}).items()]
    losses = entry.get("losses", {})
    expected = losses.get("fastmlp")
    for name, loss in losses.items():
        # "not <=", for losses that are not a number
        if expected is not None and not abs(loss - expected) <= TOLERANCE * abs(expected):
            found.append(f"{name} has ANOTHER LOSS after an epoch: {loss:.7g}, not {expected:.7g}")
    if entry.get("is_repeatable") is False:
        found.append("trained twice, fastmlp has OTHER BITS the second time")
    if not entry.get("difference", 0) <= TOLERANCE:
        found.append(f"the networks' first losses DIFFER by {entry['difference']:.1e}")
    if entry.get("exit_code", 0) != 0:
        found.append("tests FAILED")
    return found


def notes(entry):
    """What there is to say about an entry beside the table, faults first."""
    found = faults(entry)
    losses = entry.get("losses", {})
    if len(losses) > 1 and "fastmlp" in losses and not any("LOSS" in fault for fault in found):
        values = list(losses.values())
        largest = max(abs(value / losses["fastmlp"] - 1) for value in values)
        found.append(f"the first epoch's losses of all peers agree to {largest:.0e}")
    if entry.get("is_repeatable"):
        found.append("trained twice, fastmlp has the same bits")
    for package, why in entry.get("left_out", {}).items():
        found.append(f"{package} is left out: {why}")
    if "seconds" in entry:
        times = {name: f"{np.median(seconds):.2f} s" for name, seconds in entry["seconds"].items()}
        same = "the same bits" if entry["is_bitwise_equal"] else (
            f"weights that differ by up to {entry['largest']:.0e}"
        )  # fmt: skip
        listed = ", ".join(f"{seconds} {name}" for name, seconds in times.items())
        found.append(f"{entry['what']}: {listed}; {same}")
    if "summary" in entry:
        found.append(entry["summary"])
    return found
