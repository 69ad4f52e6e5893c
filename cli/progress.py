"""A progress bar of epochs on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .terminal import is_terminal


@contextmanager
def epoch_bar(max_epochs: int, quiet: bool) -> Iterator[Callable[[Any], None] | None]:
    """Give a callback for ``fit`` that draws a bar, or None where nobody would see it."""
    if quiet or not is_terminal(sys.stderr):
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=max_epochs, unit="epoch", file=sys.stderr) as bar:

        def show(epoch: Any) -> None:
            values = {"loss": f"{epoch.loss:.4f}"}
            if epoch.validation_score is not None:
                values["validation"] = f"{epoch.validation_score:.4f}"
            bar.set_postfix(values, refresh=False)
            bar.update()

        yield show
