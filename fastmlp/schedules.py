"""Learning-rate schedules: one number for each epoch, decided on the host."""

from dataclasses import dataclass

_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0

SCHEDULES = {"constant", "invscaling", "adaptive", "plateau", "step", "cosine", "one_cycle"}


@dataclass
class Constant:
    """The same learning rate throughout.

    Attributes
    ----------
    learning_rate : float
        Rate of the next epoch.
    """

    learning_rate: float

    def epoch_ends(self, n_samples_seen):
        """Set the rate of the next epoch, after `n_samples_seen` rows in all."""

    def on_plateau(self):
        """React to training that no longer improves; True to go on, False to stop."""
        return False


@dataclass
class InverseScaling(Constant):
    """learning_rate_init / (t + 1)^power_t, where t counts the rows seen so far."""

    learning_rate_init: float
    power_t: float

    def epoch_ends(self, n_samples_seen):
        self.learning_rate = self.learning_rate_init / (n_samples_seen + 1) ** self.power_t


@dataclass
class Adaptive(Constant):
    """Divide the rate by five whenever training stalls; stop once it is at most 1e-6."""

    def on_plateau(self):
        if self.learning_rate <= _SMALLEST_ADAPTIVE_RATE:
            return False
        self.learning_rate /= _ADAPTIVE_DIVISOR
        return True


def schedule_for(learning_rate, learning_rate_init, power_t):
    """The schedule of scikit-learn's ``learning_rate`` parameter."""
    if learning_rate == "invscaling":
        return InverseScaling(learning_rate_init, learning_rate_init, power_t)
    if learning_rate == "adaptive":
        return Adaptive(learning_rate_init)
    return Constant(learning_rate_init)
