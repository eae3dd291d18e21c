"""Group-relative policy optimisation: answers that did better than the others to the same prompt become likelier.

Source: Shao et al. 2024 (DeepSeekMath), arXiv 2402.03300, equation 3, with the divergence of equation 4.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PolicyLoss:
    """The loss of some answers, and what is worth knowing of it."""

    loss: Tensor
    """A scalar: −J of equation 3."""
    divergence: float
    """Mean over the answers of the mean divergence per token, in nats."""
    clipped: float
    """Share of tokens whose ratio is clipped."""


def group_advantages(rewards: Tensor, *, scaled: bool = True) -> Tensor:
    """Return (r − mean) / deviation within each group [groups, answers]; a group of equals has advantages of 0.

    Args:
        rewards: [groups, answers].
        scaled: whether to divide by the group's sample deviation, as in the paper; without, hard and easy prompts count
            by how far their answers differ (Liu et al. 2025, arXiv 2503.20783).
    """
    centred = rewards - rewards.mean(1, keepdim=True)
    if not scaled:
        return centred
    deviation = rewards.std(1, keepdim=True)
    return centred / torch.where(deviation > 1e-8, deviation, torch.ones_like(deviation))


def group_policy(
    now: Tensor, before: Tensor, reference: Tensor, rows: Tensor, advantages: Tensor, *, beta: float, clip: float
) -> PolicyLoss:
    """Return −mean over answers of mean over tokens of min(ρ·A, clip(ρ, 1 − ε, 1 + ε)·A) − β·D.

    ρ = exp(now − before), D = exp(reference − now) − (reference − now) − 1.

    Args:
        now: log p of every answer's tokens under the model that learns [n]; `before` under the model that wrote them,
            `reference` under the base alone.
        rows: to which answer each token belongs [n]; every answer has at least one.
        advantages: of every answer [answers].
        beta: β, how strongly the model is held to the base; 0 and more.
        clip: ε, above 0.
    """
    ratio = (now - before).exp()
    own = advantages[rows]
    gain = torch.minimum(ratio * own, ratio.clamp(1 - clip, 1 + clip) * own)
    difference = reference - now
    divergence = difference.exp() - difference - 1
    counts = torch.bincount(rows, minlength=len(advantages)).to(now)
    shares = 1 / (counts[rows] * len(advantages))
    loss = -((gain - beta * divergence) * shares).sum()
    clipped = float(((ratio - 1).abs() > clip).double().mean())
    return PolicyLoss(loss, float((divergence.detach() * shares).sum()), clipped)
