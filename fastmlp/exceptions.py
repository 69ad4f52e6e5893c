"""Errors that the user of a file, a table or an estimator can mend, and a warning."""


class InputError(ValueError):
    """What was given cannot be used; the message says why and what to do."""


class DeviceError(InputError):
    """The device that was asked for cannot be used; the message says why."""


class DivergenceError(ValueError):
    """Training diverged. The estimator keeps the last weights that were finite."""

    def __init__(self, message):
        super().__init__(message)
        # Not part of the message: what trains an estimator for something else may drop it.
        self.add_note("The estimator keeps the last finite weights.")


class TrainingWarning(UserWarning):
    """A fit went wrong in a known way; the message says what to do."""
