"""The settings of training a language model."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.part_config import PartConfig
from trainers.parts import LANGUAGE_MODEL
from trainers.stages import stage_names, stage_settings

POCKET_LANGUAGE = "pocket-lm"
PART: str = LANGUAGE_MODEL
USUAL_BATCH = 16
"""What the README's examples, the Text tab and the commands' advice take: good for short chats on a small base."""
_USUAL_LENGTH = 1024


class TextConfig(TrainingConfig):
    """Training on texts."""

    not_in_the_card: ClassVar[tuple[str, ...]] = (*TrainingConfig.not_in_the_card, "validation")
    part_kinds = (LANGUAGE_MODEL,)
    kind: Literal["text"] = Field("text", description="What is learned from.")
    base: str = Field(
        POCKET_LANGUAGE,
        description="Base model: pocket-lm, a folder of a causal language model, or a hub id (or ID@REVISION).",
    )
    data: str = Field(description="File of texts (.jsonl, .json, .csv, .txt), or a folder with train.jsonl.")
    parts: dict[str, PartConfig] = Field(
        default_factory=lambda: {PART: PartConfig()},
        min_length=1,
        description="What is trained, by part.",
    )
    stage: str = Field(
        "sft",
        description=f"What is done with the texts: {', '.join(stage_names())}.",
        json_schema_extra={"enum": list[Any](stage_names())},
    )
    stage_settings: dict[str, Any] = Field(default_factory=dict, description="What only the stage asks.")
    validation: str | None = Field(
        None,
        description="File of texts that are not trained on, for the validation loss; empty takes held_out.jsonl beside "
        "the data, if there is one.",
    )
    max_length: int | None = Field(
        None,
        ge=8,
        le=1 << 20,
        description=f"Longest example in tokens; empty takes what the base reads, at most {_USUAL_LENGTH}.",
    )
    cut_long: bool = Field(False, description="Cut the ends of longer examples off, instead of refusing them.")
    packing: bool = Field(
        False, description="Put several short examples into one row; none sees another. Faster where lengths differ."
    )
    assistant_only: bool = Field(True, description="Learn from the assistant's turns alone, not from the questions.")
    quantise: Literal["none", "nf4"] = Field(
        "none", description="Hold the adapted layers of the frozen base in 4 bits (QLoRA)."
    )
    trust_remote_code: bool = Field(
        False, description="Run Python code that the base brings. Only for bases that you trust."
    )
    sample_max_new_tokens: int = Field(64, ge=1, le=4096, description="Longest answer of a sample, in tokens.")

    def length_for(self, context_tokens: int) -> int:
        """Return the longest example in tokens on a base that reads so many.

        Raises:
            UserError: more is asked for.
        """
        if self.max_length is None:
            return min(context_tokens, _USUAL_LENGTH)
        if self.max_length > context_tokens:
            raise UserError(
                f"max_length {self.max_length} is more than the {context_tokens} tokens that "
                f"the base {self.base!r} reads."
            )
        return self.max_length

    def for_the_card(self) -> dict[str, Any]:
        return {"stage_settings": stage_settings(self).portable()}

    def checked(self) -> Self:
        """Return the config with every recommendation written out, after checking all of it."""
        if self.stage not in stage_names():
            raise UserError(f"stage = {self.stage!r} is no stage. There are: {', '.join(stage_names())}.")
        return self._quantised().checked_parts()

    def checked_parts(self) -> Self:
        """Return what every training checks."""
        return super().checked()

    def _quantised(self) -> Self:
        """Let LoRA be QLoRA, where the base is to be held in 4 bits."""
        if self.quantise == "none":
            return self
        parts = dict(self.parts)
        for part, plan in parts.items():
            if plan.method not in ("lora", "qlora"):
                raise UserError(
                    f"quantise = {self.quantise!r} works with the method lora alone, which then is QLoRA; "
                    f"the {part} has {plan.method!r}."
                )
            parts[part] = plan.model_copy(update={"method": "qlora"})
        return self.model_copy(update={"parts": parts})
