"""Direct preference optimisation: make the chosen answer likelier than the rejected one, measured from a reference.

Source: Rafailov et al. 2023, arXiv 2305.18290, equation 7; the label smoothing is theirs of the later code, equation 3
of Mitchell's note on conservative DPO (2023), and 0 is the paper's own loss.
"""

from torch import Tensor
from torch.nn import functional


def preference(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return −(1 − ε) log σ(β·m) − ε log σ(−β·m) as a mean over pairs, with m how much the margin grew.

    Args:
        chosen: log p of the chosen answers under the model that learns, [b]; the others likewise.
        beta: how strongly the model is held to the reference; above 0.
        label_smoothing: ε, the share of pairs that are believed to be the wrong way round, 0 to below 0.5.
    """
    margin = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    kept, swapped = functional.logsigmoid(margin), functional.logsigmoid(-margin)
    return -((1 - label_smoothing) * kept + label_smoothing * swapped).mean()
