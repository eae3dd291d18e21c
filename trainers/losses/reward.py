"""Reward from preferences: the chosen answer gets more than the rejected one (Bradley and Terry 1952).

Source: Ouyang et al. 2022, arXiv 2203.02155, equation 1, for pairs.
"""

from torch import Tensor
from torch.nn import functional


def bradley_terry(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return −log σ(r_chosen − r_rejected) as a mean over pairs.

    Args:
        chosen: rewards of the chosen answers [b]; the others likewise.
    """
    return -functional.logsigmoid(chosen - rejected).mean()
