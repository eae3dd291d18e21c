"""Min-SNR: how much the squared error counts at each noise level (Hang et al. 2023, arXiv 2303.09556, section 3.4).

With SNR = ᾱ / (1 − ᾱ), the paper's weight of min(SNR, γ) on the error of the clean picture is min(SNR, γ) / SNR on the
error of the noise, and min(SNR, γ) / (SNR + 1) on the error of the velocity.
"""

from torch import Tensor


def min_snr_weights(signal: Tensor, gamma: float, *, velocity: bool, floor: float | None = None) -> Tensor:
    """Return the weight of every noise level, in float64, with the shape of `signal`.

    Args:
        signal: ᾱ, the share of the signal's power that is left, 0 (pure noise) to 1.
        gamma: γ, above 0.
        velocity: whether the model predicts the velocity; else the noise.
        floor: smallest weight, for levels that the paper's leave out: velocity at pure noise weighs 0. None is none.
    """
    signal = signal.double()
    snr = signal / (1 - signal)
    # γ / max(SNR, γ) is min(SNR, γ) / SNR with its limit of 1 at pure noise.
    weights = snr.clamp(max=gamma) / (snr + 1) if velocity else gamma / snr.clamp(min=gamma)
    return weights if floor is None else weights.clamp(min=floor)
