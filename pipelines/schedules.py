"""When an adapter acts during sampling: from where to where, and how its weight runs in between."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainers.errors import UserError


class Schedule(BaseModel):
    """A factor on an adapter's weight over the sampling steps; outside of start and stop it is 0.

    It acts on the UNet: a text encoder runs once, before the first step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: float = Field(0.0, ge=0, le=1, description="Share of the steps before the adapter acts.")
    stop: float = Field(1.0, ge=0, le=1, description="Share of the steps after which it acts no more.")
    first: float = Field(1.0, ge=-100, le=100, description="Factor at its first step.")
    last: float = Field(1.0, ge=-100, le=100, description="Factor at its last step.")
    shape: Literal["linear", "cosine"] = Field("linear", description="How the factor runs from first to last.")

    @model_validator(mode="after")
    def _in_order(self) -> "Schedule":
        if self.start >= self.stop:
            raise ValueError(f"start {self.start:g} must be before stop {self.stop:g}")
        return self

    def factor(self, step: int, steps: int) -> float:
        """Return the factor at step `step` (from 0) of `steps`.

        Raises:
            UserError: so few steps that none lies between start and stop.
        """
        active = [number for number in range(steps) if self.start <= number / steps < self.stop]
        if not active:
            raise UserError(
                f"No step of {steps} lies between {self.start:.0%} and {self.stop:.0%}, so the adapter would never "
                "act. Take more steps, or a longer stretch."
            )
        if step not in active:
            return 0.0
        share = active.index(step) / max(len(active) - 1, 1)
        if self.shape == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.first + (self.last - self.first) * share
