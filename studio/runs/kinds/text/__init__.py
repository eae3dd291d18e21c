"""Training an adapter on texts."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.library.library import Library
from studio.proposals import proposed
from studio.runs.control import Control
from studio.runs.kinds._run_kind import Preflight, RunKind
from studio.runs.kinds.images import prepare_training
from trainers.config import parse_config
from trainers.paths import path_of
from trainers.stages import stage_settings
from trainers.text_config import PART, POCKET_LANGUAGE, TextConfig

if TYPE_CHECKING:
    from studio.runs.run import Journal, Run


def _parse(values: Mapping[str, Any]) -> TextConfig:
    return parse_config(values, TextConfig)


def _prepare(config: TextConfig, library: Library) -> TextConfig:
    kept: TextConfig = prepare_training(config, library)
    if kept.stage_settings:
        settings = stage_settings(kept).prepared(lambda name: str(library.find(name).resolve()))
        kept = kept.model_copy(update={"stage_settings": settings})
    if kept.validation is None:
        return kept
    return kept.model_copy(update={"validation": str(path_of(kept.validation).resolve())})


def _preflight(config: TextConfig, library: Library) -> Preflight:
    from studio.runs.kinds.text.preflight import preflight_text  # torch and the model libraries

    return preflight_text(config, library)


def _work(run: "Run", journal: "Journal", control: Control) -> Path | None:
    from studio.runs.kinds.text.work import work  # torch and the model libraries; not needed to list or queue runs

    return work(run, journal, control)


def _tried_by(config: TextConfig, library: Library) -> str:
    head = library.card(config.name).head
    if head is None:
        words = ["chat", "--prompt", "Tell me a story."]
    elif head.kind == "reward":
        words = ["score", "--prompt", "How are you?", "--answer", "Very well."]
    else:
        words = ["classify", "It was a quiet morning."]
    code = ["--trust-remote-code"] if config.trust_remote_code else []
    words = ["text", words[0], "--adapter", config.name, *words[1:], *code]
    return proposed(words, library, base=config.base, usual_base=POCKET_LANGUAGE)


RUN_KIND = RunKind(
    name="text",
    title="Voice or task from texts",
    settings=TextConfig,
    parse=_parse,
    prepare=_prepare,
    preflight=_preflight,
    work=_work,
    front=("name", "base", "data", "stage", "steps", "batch_size", "max_length", "sample_every"),
    list_parts=lambda: (PART,),
    default_parts=lambda base: (PART,),
    variants={"stage_settings": ("stage", "stages")},
    examples=("texts",),
    tried_in="text",
    tried_by=_tried_by,
    command="text train",
)
