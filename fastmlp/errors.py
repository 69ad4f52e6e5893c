"""Errors that the user of a file or table can mend."""


class InputError(ValueError):
    """What was given cannot be used; the message says why and what to do."""


class DeviceError(InputError):
    """The device that was asked for cannot be used; the message says why."""
