"""What ends the training of a pack's networks between two epochs."""

from collections.abc import Callable
from typing import Any


class StopsAtAnEpoch:
    """A callback of a fit, which ends it when training is over."""

    sees_estimator = False  # so that no epoch takes time to bring the estimator up to date

    def __init__(self, is_over: Callable[[float], bool]) -> None:
        self._is_over = is_over

    def __call__(self, epoch: Any) -> bool:
        """Tell whether training ends with this epoch, which is not the last one."""
        return epoch.epoch < epoch.max_epochs and self._is_over(epoch.seconds / epoch.epoch)


class StopsAfterAnEpoch:
    """Tells fits to end, but none before its first epoch: it is called before that, too."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._has_begun = False

    def __call__(self) -> bool:
        """Tell whether fits end."""
        has_begun, self._has_begun = self._has_begun, True
        return has_begun and self._is_over()
