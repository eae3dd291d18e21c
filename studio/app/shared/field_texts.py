"""Names and groups of settings in the form, in a language of the page.

English comes from the settings themselves, but for labels that say more than a setting's name does. A setting that has
no text in the locales is shown in English, and stands in the last group, so a new kind of run or method needs none.
"""

from collections.abc import Mapping

from pipelines.families import known_parts
from studio.app.shared.locales import ENGLISH, locales, text
from studio.runs.kinds import RunKind
from studio.settings_schema import label_of

GROUPS: Mapping[str, tuple[str, ...]] = {
    "learning": (
        *("steps", "batch_size", "gradient_accumulation_steps", "optimizer", "lr_scheduler", "warmup_steps"),
        *("weight_decay", "max_grad_norm", "seed", "loss_weighting", "caption_dropout"),
    ),
    "data": ("trigger", "prompt", "skip_bad", "flip", "resolution_px", "judge"),
    "texts": ("validation", "assistant_only", "max_length", "cut_long", "packing"),
    "samples": ("sample_prompts", "sample_max_new_tokens", "sample_every", "checkpoint_every", "keep_checkpoints"),
    "device": ("device", "precision", "gradient_checkpointing", "quantise"),
}
"""Group -> the settings that stand folded under its title."""
OTHER = "other"
"""The group of settings that stand in no other."""


def setting_label(language: str, name: str, kind: str = "") -> str:
    """Return what a form calls a setting; one kind of run may call it otherwise than the others."""
    return _of_setting(language, "label", name, kind) or label_of(name)


def setting_help(language: str, name: str, kind: str = "") -> str:
    """Return what a form says of a setting; empty where its own description is all there is."""
    return _of_setting(language, "help", name, kind)


def part_title(language: str, part: str) -> str:
    """Return what a part of a base is called; a name that no family has stays as it is."""
    known = {**known_parts("picture"), **known_parts("text")}
    return text(language, f"part.{part}", known[part].title if part in known else part.replace("_", " "))


def stage_title(language: str, name: str, title: str) -> str:
    """Return what a stage is called; its own title is English."""
    return text(language, f"stage.{name}", title)


def kind_title(language: str, kind: RunKind) -> str:
    """Return what a kind of run is called."""
    return text(language, f"kind.{kind.name}", kind.title)


def _of_setting(language: str, what: str, name: str, kind: str) -> str:
    """Return a text of a setting; English help stands with the settings, so none is taken from there."""
    for table in (locales()[language], locales()[ENGLISH]):
        for key in (f"field.{kind}.{name}.{what}", f"field.{name}.{what}"):
            if key in table:
                return table[key]
    return ""
