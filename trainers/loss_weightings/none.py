"""No weighting: the error of every noise level counts alike. Source: Ho et al. 2020, arXiv 2006.11239, eq. 14."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.loss_weightings._loss_weighting import LossWeighting, WeightingSettings

if TYPE_CHECKING:
    from torch import Tensor


def _weigh(snr: Tensor, prediction: str, settings: WeightingSettings) -> Tensor:
    return snr.new_ones(snr.shape)


LOSS_WEIGHTING = LossWeighting("none", "All levels alike", "Ho et al. 2020, arXiv 2006.11239, eq. 14", _weigh)
