"""A progress bar on stderr, of epochs, of the networks of a pack, or of the trials of a search."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .terminal import is_terminal

# The library's estimate of the time left knows how long each kind of network takes.
_FORMAT_OF_MEMBERS = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} networks [{elapsed}{postfix}]"


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[Any], None] | None]:
    """Give a callback for ``fit`` that draws a bar, or None where nobody would see it."""
    if quiet or not is_terminal(sys.stderr):
        yield None
        return
    from tqdm import tqdm

    bar: Any = None

    def show(event: Any) -> None:
        nonlocal bar
        if hasattr(event, "epoch"):
            if bar is None:
                bar = tqdm(total=event.max_epochs, unit="epoch", file=sys.stderr)
            values = {"loss": f"{event.loss:.4f}"}
            if event.validation_score is not None:
                values["validation"] = f"{event.validation_score:.4f}"
            bar.set_postfix(values, refresh=False)
            bar.update(event.epoch - bar.n)  # each of several targets begins anew
            return
        if bar is None:
            bar = tqdm(total=event.planned, file=sys.stderr, bar_format=_FORMAT_OF_MEMBERS)
        bar.total = event.planned
        loss = f"{event.kind} loss={-event.score:.4g}"
        bar.set_postfix_str(f"about {event.seconds_left:.0f} s left, {loss}", refresh=False)
        bar.update(event.done - bar.n)
        bar.refresh()

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()


@contextmanager
def search_progress(quiet: bool) -> Iterator[Callable[[Any], None] | None]:
    """Give a callback for ``tune`` that draws one line, or None where nobody would see it."""
    if quiet or not is_terminal(sys.stderr):
        yield None
        return
    from tqdm import tqdm

    from .output import shown_metric

    bar: Any = None

    def show(event: Any) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(file=sys.stderr, bar_format="{desc}")
        trials = f"{event.n_finished}" + (f"/{event.n_trials}" if event.n_trials else "")
        parts = [f"{trials} trial{'s' * (trials != '1')}"]
        if event.best_score is not None:
            parts.append(f"best {shown_metric(event.scoring)} {event.best_score:.4g}")
        if event.is_final:
            parts.append("training the best one on all rows")
        elif event.seconds_left is None:
            parts.append(f"{event.seconds:.0f} s")
        else:
            parts.append(f"about {event.seconds_left:.0f} s left")
        bar.set_description_str(", ".join(parts))

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
