"""What a loss weighting's file states."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from trainers.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Weigh = Callable[["Tensor", str], "Tensor"]
"""(SNR of every level [b] in float64, 0 at pure noise, infinite without any; what the model predicts) -> weights [b].

The prediction is ``epsilon``, ``v_prediction`` or ``flow``, see `trainers.protocols.Denoiser.prediction`.
"""


class WeightingSettings(BaseModel):
    """Base of every weighting's settings; the field descriptions are help, form labels and documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class LossWeighting:
    """One weighting, as facts. Import torch inside the function."""

    name: str
    title: str
    source: str
    """Paper and equation."""
    weigh: Callable[[Tensor, str, Any], Tensor]
    """As `Weigh`, with the settings as the last argument."""
    settings: type[WeightingSettings] = WeightingSettings
    lacks: Mapping[str, str] = field(default_factory=dict)
    """What a model predicts -> why the weighting does not suit it."""

    def with_settings(self, values: Mapping[str, Any]) -> Weigh:
        """Return the weighting with settings, which must be sound."""
        return functools.partial(_weigh, self, self.settings.model_validate(values))

    def check(self, prediction: str) -> None:
        """Refuse a model whose prediction the weighting does not suit.

        Raises:
            UserError: it does not, with the reason.
        """
        if prediction in self.lacks:
            raise UserError(
                f"The loss weighting {self.name!r} does not suit a base that predicts {prediction!r}: "
                f"{self.lacks[prediction]} Take another, or 'none'."
            )


def _weigh(weighting: LossWeighting, settings: WeightingSettings, snr: Tensor, prediction: str) -> Tensor:
    return weighting.weigh(snr, prediction, settings)
