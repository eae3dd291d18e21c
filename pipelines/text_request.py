"""What is asked of a language model: one text, with its adapters and sampling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.recipe import Recipe
from trainers.data.plain_text import plain_text, plain_values
from trainers.data.texts import Message, TextRow
from trainers.errors import UserError
from trainers.seeds import drawn_seed

_LIMIT_WEIGHT = 100.0


@dataclass(frozen=True)
class TextRequest:
    """One text to write."""

    prompt: str = ""
    """What the user says; with `plain`, the beginning of a text."""
    messages: tuple[Message, ...] = ()
    """The whole chat so far, in place of `prompt`."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """What the chat's assistant can call, as the chat template is given it."""
    plain: bool = False
    """Go on with the prompt as it stands, without the chat template."""
    seed: int = 0
    """-1 draws one, which the request then holds."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Adapter -> weight, any sign; an adapter not named is off."""
    recipe: Recipe | None = None
    """How adapters are combined, instead of weights."""
    temperature: float = 0.0
    """0 always takes the likeliest token."""
    top_p: float = 1.0
    """Only the likeliest tokens that together have this probability are drawn from."""
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""
    beams: int = 1
    """More than 1 searches so many beginnings at once, always for the likeliest; it is not streamed."""

    def __post_init__(self) -> None:
        """Draw the seed where that is wished for, and refuse values that cannot be used."""
        object.__setattr__(self, "seed", drawn_seed(self.seed))
        for name, low, high in (
            ("temperature", 0, 100),
            ("max_new_tokens", 1, 1 << 20),
            ("seed", 0, 2**63 - 1),
            ("beams", 1, 64),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} {value} is out of range; {low} to {high} is possible.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p {self.top_p} is out of range; above 0 and up to 1 is possible.")
        if self.beams > 1 and self.temperature:
            raise UserError(
                f"{self.beams} beams look for the likeliest text; temperature {self.temperature} must be 0."
            )
        if not self.prompt and not self.messages:
            raise UserError("The prompt is empty.")
        plain_text(self.prompt, "The prompt")
        for turn in self.messages:
            plain_values(turn, f"The turn of the {turn['role']}")
        for text in self.stop:
            plain_text(text, "stop")
        for adapter, weight in self.weights.items():
            if not abs(weight) <= _LIMIT_WEIGHT:  # also refuses NaN
                raise UserError(
                    f"The weight {weight} of {adapter!r} is out of range; "
                    f"-{_LIMIT_WEIGHT:g} to {_LIMIT_WEIGHT:g} is possible."
                )

    def row(self) -> TextRow:
        """Return what is to be gone on with, in the shape of the data."""
        if self.plain:
            return TextRow("The prompt", text=self.prompt)
        messages = self.messages or ({"role": "user", "content": self.prompt},)
        return TextRow("The prompt", messages=messages, tools=self.tools)

    def acting(self) -> tuple[Any, ...]:
        """Return what acts on the base, to compare."""
        weights = tuple(sorted((name, weight) for name, weight in self.weights.items() if weight))
        return weights, self.recipe.model_dump_json() if self.recipe is not None else None
