"""What the Library says of an adapter's card: scores, data, methods and training, in words of either language."""

from collections.abc import Iterable, Mapping
from typing import Any

from studio.app.shared.field_texts import kind_title, part_title, setting_label, stage_title
from studio.app.shared.locales import text
from studio.runs.kinds import run_kinds
from trainers.card import AdapterCard

_ALWAYS = ("steps", "batch_size", "stage", "learning_rates")
"""What is told of a training even where it is as usual."""


def scores_told(card: AdapterCard, language: str) -> str:
    """Return every score with its name, such as ``Validation loss 2.773``."""
    told = []
    for name, value in card.scores.items():
        if name.endswith("_deviation") and f"{name.removesuffix('_deviation')}_mean" in card.scores:
            continue  # stands behind its mean
        plain = name.removeprefix("folds_").removesuffix("_mean")
        label = _label("facts.scores", plain, language)
        label += text(language, "facts.word.over_folds") if name.startswith("folds_") else ""
        spread = card.scores.get(f"{name.removesuffix('_mean')}_deviation") if name.endswith("_mean") else None
        told.append(f"{label} {value:.3f}" + (f" ± {spread:.3f}" if spread is not None else ""))
    return ", ".join(told)


def data_told(card: AdapterCard, language: str) -> str:
    """Return what was learned from."""
    return _joined([(_label("facts.data", key, language), value) for key, value in card.data.items()], language)


def training_told(card: AdapterCard, language: str) -> str:
    """Return the settings of a training that are not the usual ones of its kind of run; all, where that is unknown."""
    facts = {key: value for key, value in card.training.items() if key not in ("about", "stage_settings")}
    kind = run_kinds().get(str(facts.get("kind", "")))
    told: list[tuple[str, Any]] = []
    if kind is not None:
        told.append((text(language, "facts.more.kind"), kind_title(language, kind)))
        del facts["kind"]
        usual = {
            name: field.get_default(call_default_factory=True)
            for name, field in kind.settings.model_fields.items()
            if not field.is_required()
        } | {"skipped_steps": 0}
        facts = {key: value for key, value in facts.items() if key in _ALWAYS or not _same(value, usual.get(key))}
    of_stage = card.training.get("stage_settings")
    for key, value in (*facts.items(), *(of_stage.items() if isinstance(of_stage, Mapping) else ())):
        shown = stage_title(language, str(value), str(value)) if key == "stage" else value
        told.append((_setting(kind.name if kind else "", key, language), shown))
    return _joined(told, language)


def plan_told(method: str, settings: Mapping[str, Any], language: str) -> str:
    """Return a method with its settings."""
    told = _joined([(_setting("", key, language), value) for key, value in settings.items()], language)
    return f"{method}; {told}" if told else method


def _joined(facts: Iterable[tuple[str, Any]], language: str) -> str:
    return ", ".join(f"{label} {_plain(value, language)}" for label, value in facts if value is not None)


def _plain(value: object, language: str) -> str:
    if isinstance(value, Mapping):
        told = [f"{_plain(item, language)} {part_title(language, str(key))}" for key, item in value.items()]
        return text(language, "facts.word.and").join(told) or text(language, "facts.word.none")
    if isinstance(value, bool):
        return text(language, "facts.word.yes" if value else "facts.word.no")
    if isinstance(value, list | tuple):
        return "+".join(str(item) for item in value) or text(language, "facts.word.none")
    return str(value)


def _setting(kind: str, name: str, language: str) -> str:
    """Return what a form calls a setting."""
    return text(language, f"facts.more.{name}", setting_label(language, name, kind))


def _label(group: str, key: str, language: str) -> str:
    return text(language, f"{group}.{key}", key.replace("_", " "))


def _same(value: object, usual: object) -> bool:
    """Whether a value as JSON keeps it is the usual one."""
    return value == (list(usual) if isinstance(usual, tuple) else usual)
