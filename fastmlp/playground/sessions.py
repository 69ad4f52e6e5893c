"""The sessions of pages: each has one network, one thread that trains it, and an end."""

import csv
import secrets
import threading
import time
from io import StringIO
from typing import Any

import numpy as np

from ..exceptions import InputError, collected_warnings
from ..serving.limits import RequestError, busy
from .code import python_code, shell_code
from .data import (
    Points,
    inputs_at,
    is_held_out,
    made_points,
    number_columns,
    read_csv,
    split,
    table_points,
)
from .frames import Observer, output_activation
from .settings import Settings, loss_of, make_model, used_features
from .training import Training

# Sessions that one server has at once, and seconds after which an unused one ends.
MOST_SESSIONS = 16
IDLE_SECONDS = 600.0
# The one that was not used for the longest time gives way if that is longer than this.
_GIVES_WAY = 30.0
# Columns of a table; the page lists all of them.
_MOST_COLUMNS = 500


class Session:
    """A network that learns for one page.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    InputError
        When the points cannot be made or learned from.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.points = _points(settings)
        seed, share = settings.numbers["data_seed"], settings.numbers["test_share"]
        self.features = used_features(settings, self.points)
        self.rows = split(self.points, self.features, share, seed)
        self._held = is_held_out(len(self.points.y), share, seed)
        is_regression = not self.points.classes
        model = make_model(settings, is_regression, len(self.rows.y_train))
        self.observer = Observer(model, self.points, self.features, self.rows)
        self.training = Training(model, self.rows)
        # One request at a time, so that a frame has whole epochs.
        self.lock = threading.RLock()
        self.used = time.monotonic()

    def described(self) -> dict[str, Any]:
        """Return what does not change while the network learns."""
        points, plan = self.points, self.observer.plan
        return {
            "places": np.round(points.places, 4).tolist(),
            "y": np.round(points.y, 4).tolist(),
            "is_test": self._held.tolist(),
            "classes": points.classes,
            "axes": points.axes,
            "is_line": points.is_line,
            "notes": points.notes,
            "features": self.features,
            "feature_pictures": self.observer.features_shown(),
            "output_activation": output_activation(plan),
            "loss": loss_of(self.settings, not points.classes),
            "n_parameters": int(self.training.recorded(0).theta.size),
            "max_iter": self.settings.numbers["max_iter"],
        }

    def advance(self, n_epochs: int, known: int) -> dict[str, Any]:
        """Train for some epochs, and return the frame after the last.

        Parameters
        ----------
        n_epochs : int
        known : int
            Number of epochs of which the page has the losses.
        """
        with self.lock:
            self.training.advance(n_epochs)
            return self.frame(self.training.n_epochs, known)

    def frame(self, epoch: int, known: int) -> dict[str, Any]:
        """Show a recorded epoch, with the losses of the epochs that the page does not have."""
        with self.lock:
            return self._frame(epoch, known)

    def _frame(self, epoch: int, known: int) -> dict[str, Any]:
        training = self.training
        recorded = training.recorded(epoch)
        rows, theta = self.rows, recorded.theta
        with np.errstate(all="ignore"):  # weights of a network that diverges
            look = self.observer.look(theta)
            scores = {
                "train_score": self.observer.score(theta, rows.X_train, rows.y_train),
                "test_score": self.observer.score(theta, rows.X_test, rows.y_test),
            }
        return {
            "epoch": recorded.epoch,
            "n_epochs": training.n_epochs,
            "from": known,
            "losses": [_number(loss) for loss in training.losses[known:]],
            "test_losses": [_number(loss) for loss in training.test_losses[known:]],
            "rates": [_number(rate) for rate in training.rates[known:]],
            "ending": training.ending,
            **scores,
            **look,
        }

    def code(self, epoch: int) -> dict[str, str]:
        """Write the program and the command for a recorded epoch."""
        epoch = self.training.recorded(epoch).epoch
        loss = self.training.losses[epoch - 1] if epoch else 0.0
        has_diverged = loss is not None and not np.isfinite(loss)
        return {
            "python": python_code(self.settings, self.points, self.features, epoch, has_diverged),
            "shell": shell_code(self.settings, self.points, epoch),
        }

    def table(self) -> str:
        """Write the inputs of the network and the targets of all points as CSV."""
        points, text = self.points, StringIO()
        inputs = inputs_at(points.places, self.features).tolist()
        targets = [points.classes[y] for y in points.y] if points.classes else points.y.tolist()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*self.features, "y"])
        writer.writerows([*row, y] for row, y in zip(inputs, targets, strict=True))
        return text.getvalue()

    def point(self, epoch: int, place: list[float]) -> dict[str, Any]:
        """Tell what the network of a recorded epoch computes at one place."""
        return self.observer.point(self.training.recorded(epoch).theta, place)


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.6g}")


def _points(settings: Settings) -> Points:
    numbers = settings.numbers
    if settings.choices["kind"] != "table":
        return made_points(
            settings.choices["kind"], numbers["n_points"], numbers["noise"], numbers["data_seed"],
            settings.painted,
        )  # fmt: skip
    table = _opened(settings.table)
    with collected_warnings() as found:
        points = table_points(table, settings.target, settings.axes, numbers["data_seed"])
    # What is to be done about it is said for programs, which have parameters.
    points.notes.extend(f"{str(warning).partition(';')[0].rstrip('.')}." for warning in found)
    return points


def _opened(table: str) -> StringIO:
    """Return a table for reading, unless a line of it is too wide."""
    if max((line.count(mark) for line in table.splitlines() for mark in ",;\t|"), default=0) >= (
        _MOST_COLUMNS
    ):
        raise InputError(f"the table has more than {_MOST_COLUMNS} columns; leave some of them out")
    return StringIO(table)  # what is text is never decompressed


def describe_table(text: bytes) -> dict[str, Any]:
    """List the columns of a CSV file, and which of them hold numbers."""
    try:
        table = _opened(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise InputError("the file is no text in UTF-8; save it as CSV in UTF-8") from None
    with collected_warnings():
        frame = read_csv(table)
    numbers = set(number_columns(frame))
    columns = [{"name": str(name), "is_number": name in numbers} for name in frame.columns]
    return {"columns": columns, "n_rows": len(frame)}


class Sessions:
    """The sessions of a server.

    Parameters
    ----------
    idle_seconds : float
        An unused session ends after this time.
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle = idle_seconds
        self._known: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def open(self, settings: Settings) -> tuple[str, Session]:
        """Begin a session, and return its key, which nobody can guess."""
        session = Session(settings)
        key = secrets.token_urlsafe(16)
        with self._lock:
            if len(self._known) >= MOST_SESSIONS:
                oldest = min(self._known, key=lambda k: self._known[k].used)
                if time.monotonic() - self._known[oldest].used < _GIVES_WAY:
                    raise busy("too many pages are open; close one of them")
                self._known.pop(oldest).training.close()
            self._known[key] = session
        return key, session

    def find(self, key: str) -> Session:
        """Return a session; it counts as used now."""
        session = self._known.get(key)
        if session is None:
            raise RequestError(404, "the session has ended")
        session.used = time.monotonic()
        return session

    def close(self, key: str) -> None:
        """End a session, if it is there."""
        with self._lock:
            session = self._known.pop(key, None)
        if session is not None:
            session.training.close()

    def close_idle(self) -> None:
        """End the sessions that were not used for long."""
        now = time.monotonic()
        for key, session in list(self._known.items()):
            if now - session.used > self._idle:
                self.close(key)

    def close_all(self) -> None:
        """End all sessions."""
        for key in list(self._known):
            self.close(key)
