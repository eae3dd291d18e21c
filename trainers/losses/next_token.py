"""Next token: the cross-entropy of each learned token given those before it, in nats.

Source: Bengio et al. 2003, A Neural Probabilistic Language Model, equation 1 without its penalty.
"""

from torch import Tensor
from torch.nn import functional

from trainers.data.token_batches import IGNORED


def next_token(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over all learned tokens, a scalar.

    Args:
        logits: [b, t, words]; those at one token predict the next.
        labels: [b, t]; `IGNORED` where a token is not learned from.
    """
    return token_losses(logits, labels).mean()


def text_log_likelihoods(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of log p over the learned tokens of every text, [b]; each row is one text."""
    rows = (labels[:, 1:] != IGNORED).nonzero()[:, 0]
    losses = token_losses(logits, labels)
    return losses.new_zeros(len(labels)).index_add(0, rows, -losses)


def token_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return −log p of every learned token [n], in float32, row by row."""
    wanted = labels[:, 1:]
    learned = wanted != IGNORED
    # Chosen before they are widened: of a long prompt's logits, most are never needed.
    return functional.cross_entropy(logits[:, :-1][learned].float(), wanted[learned], reduction="none")
