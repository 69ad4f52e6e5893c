"""Errors that the user of a file, a table or an estimator can mend, and a warning."""


class InputError(ValueError):
    """What was given cannot be used; the message says why and what to do."""


class DataError(InputError):
    """A table that a model cannot be made of or used on; the message says why."""


class ModelFileError(InputError):
    """A file that holds no model that could be loaded."""


class DeviceError(InputError):
    """The device that was asked for cannot be used; the message says why."""


class DivergenceError(ValueError):
    """Training diverged. The estimator keeps the last weights that were finite.

    Parameters
    ----------
    message : str
        In which epoch, and what to do.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # Not part of the message: what trains an estimator for something else may drop it.
        self.add_note("The estimator keeps the last finite weights.")


class TrainingWarning(UserWarning):
    """A fit went wrong in a known way; the message says what to do."""


class InterruptedTrainingWarning(UserWarning):
    """Ctrl-C ended a fit; what was learned until then is kept."""
