"""Classes: the cross-entropy of each text's label, in nats; classes may weigh differently."""

from torch import Tensor
from torch.nn import functional


def class_losses(scores: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return −w_y · log softmax(scores)_y of every text [b].

    Args:
        scores: [b, classes].
        labels: numbers of the right classes [b].
        weights: w [classes]; all 1 where None.
    """
    losses = functional.cross_entropy(scores.float(), labels, reduction="none")
    return losses if weights is None else losses * weights[labels]
