"""A progress bar of epochs on stderr."""

import sys
from contextlib import contextmanager


@contextmanager
def epoch_bar(max_epochs, quiet):
    """A callback for ``fit`` that draws a bar; None where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=max_epochs, unit="epoch", file=sys.stderr) as bar:

        def show(epoch):
            values = {"loss": f"{epoch.loss:.4f}"}
            if epoch.validation_score is not None:
                values["validation"] = f"{epoch.validation_score:.4f}"
            bar.set_postfix(values, refresh=False)
            bar.update()

        yield show
