"""What the loop asks of a base model and of a task. A family satisfies these by shape; nothing inherits from them.

Letters: b batch, c latent channels, h w latent rows and columns, t tokens, d width.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # settings are read where torch is not wanted, and they know of these roles
    import torch
    from torch import Tensor, nn

    from trainers.heads import Head


Conditioning = Mapping[str, "Tensor"]
"""What the denoiser is told about the prompts, one row per picture in every tensor."""


class Learnable(Protocol):
    """A base of any kind, as far as attaching and training an adapter goes."""

    @property
    def parts(self) -> "Mapping[str, nn.Module]":
        """The modules that a method can attach to, by part."""
        ...

    @property
    def device(self) -> "torch.device":
        """Where the model lives."""
        ...

    @property
    def dtype(self) -> "torch.dtype":
        """The number format that its frozen weights were loaded in."""
        ...

    def targets(self, part: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """Turn kinds of layers (``attention`` …) into literal module names; other words pass through."""
        ...

    def token_ids(self, part: str, text: str) -> list[int]:
        """Return the numbers of a text's words in the vocabulary of a part that reads text, without start and end.

        Raises:
            UserError: the part reads no text.
        """
        ...


class Task(Protocol):
    """What a training learns: a loss over its data, on a base whose parts carry fresh adapters."""

    @property
    def role(self) -> Learnable:
        """The base."""
        ...

    @property
    def heads(self) -> "Mapping[str, Head]":
        """What is trained beside the adapters, by part: a layer of the task's own behind that part."""
        ...

    def prepare(self) -> None:
        """Get ready, once the adapters are attached and before the first step; it must not depend on the step."""
        ...

    def weight(self, batch_number: int) -> float:
        """Return how much a batch counts beside the others of its step, such as its number of tokens; above 0."""
        ...

    def loss(self, batch_number: int, generator: "torch.Generator") -> "Tensor":
        """Return a batch's loss, a scalar: a pure function of the number, the generator and the weights.

        Args:
            batch_number: from 0, over the whole run and all devices.
            generator: a CPU generator of the batch's own.
        """
        ...

    def noted(self) -> Mapping[str, float]:
        """Return what was measured on the way in the batches since the last call, by name; empty where nothing is."""
        ...

    def state(self) -> "Mapping[str, Tensor]":
        """Return what the remaining steps depend on beside the weights, the optimizer and the step; mostly nothing."""
        ...

    def restore(self, state: "Mapping[str, Tensor]") -> None:
        """Put back what `state` gave."""
        ...


class QuietTask:
    """What most tasks say: they train the adapters alone, note nothing, and keep no state between steps."""

    @property
    def heads(self) -> "Mapping[str, Head]":
        return {}

    def noted(self) -> Mapping[str, float]:
        return {}

    def state(self) -> "Mapping[str, Tensor]":
        return {}

    def restore(self, state: "Mapping[str, Tensor]") -> None:
        """Nothing was kept."""


class LanguageModel(Learnable, Protocol):
    """A causal language model, seen by a task."""

    model: Any
    """The transformers model, the part ``language_model``: token numbers [b, t] in, ``logits`` [b, t, words] out."""
    tokenizer: Any
    """Its transformers tokenizer; it has a padding token, an end-of-text token and a chat template."""
    context_tokens: int
    """How many tokens it can read at once."""
    own_template: bool
    """Whether the chat template is the base's own; else it is the studio's plain one."""
    stop_numbers: Sequence[int]
    """The tokens that end an answer."""

    def new_cache(self) -> Any:
        """Return an empty key-value cache for the model's ``past_key_values``."""
        ...


class Denoiser(Learnable, Protocol):
    """A model that turns noise into latents, by diffusion or by flow matching, seen by the training loop."""

    @property
    def timesteps(self) -> int:
        """Number of noise levels; 0 is the cleanest."""
        ...

    def encode_images(self, pixels: "Tensor") -> "tuple[Tensor, Tensor]":
        """Encode pixels [b, 3, height, width] in -1 to 1 into the mean and deviation of scaled latents [b, c, h, w]."""
        ...

    def encode_text(self, captions: Sequence[str]) -> Conditioning:
        """Encode captions, cut at the text encoder's limit. Gradients reach the text encoder."""
        ...

    def add_noise(self, latents: "Tensor", noise: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Mix latents with noise at the given levels [b]."""
        ...

    def draw_timesteps(self, count: int, generator: "torch.Generator") -> "Tensor":
        """Draw the noise levels [b] of a batch, as the base was trained, with a CPU generator."""
        ...

    def predict(self, noisy: "Tensor", timesteps: "Tensor", conditioning: Conditioning) -> "Tensor":
        """Return the model's output [b, c, h, w] for noisy latents."""
        ...

    def target(self, latents: "Tensor", noise: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return what `predict` should have said, see `prediction`: the noise, a diffusion's velocity or a flow's."""
        ...

    @property
    def prediction(self) -> str:
        """What `predict` says: ``epsilon`` (the noise), ``v_prediction`` (the velocity of a diffusion) or ``flow``."""
        ...

    def snr(self, timesteps: "Tensor") -> "Tensor":
        """Return the signal-to-noise ratio [b] at each level in float64: 0 at pure noise, infinite without any."""
        ...
