"""Whether a device does what it acknowledged; pure."""

from dataclasses import dataclass, replace

FOLLOW_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Following:
    """Since when the measured power has differed from the order."""

    differs_since: float | None = None

    def after(self, at: float, *, differs: bool) -> Following:
        """Return the watch after one more measurement."""
        if not differs:
            return Following()
        return self if self.differs_since is not None else replace(self, differs_since=at)

    def broken(self, now: float) -> bool:
        """Tell whether the order has not been followed for too long."""
        return self.differs_since is not None and now - self.differs_since > FOLLOW_WITHIN_S
