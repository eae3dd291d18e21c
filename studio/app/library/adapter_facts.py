"""What the Library says of an adapter's card: scores, data, methods and training, in words of either language."""

from collections.abc import Iterable, Mapping
from typing import Any

from studio.app.shared.field_texts import CHINESE, ENGLISH, PARTS, STAGES, kind_title
from studio.runs.kinds import run_kinds
from studio.settings_schema import label_of
from trainers.card import AdapterCard

Label = tuple[str, str]
"""In English, in Traditional Chinese."""

ROWS: Mapping[str, Label] = {
    "problem": ("Problem", "問題"),
    "made": ("Made", "製作時間"),
    "base": ("Base", "基礎模型"),
    "triggers": ("Trigger words", "觸發詞"),
    "size": ("Size", "大小"),
    "recipe": ("Recipe", "配方"),
    "scores": ("Scores", "分數"),
    "data": ("Data", "資料"),
    "training": ("Training", "訓練"),
    "versions": ("Versions", "版本"),
    "license": ("Licence", "授權"),
    "author": ("Author", "作者"),
    "description": ("Description", "描述"),
    **PARTS,
}
"""Key of a fact -> what it is called."""
_DATA: Mapping[str, Label] = {
    "pictures": ("Pictures", "圖片"),
    "captions": ("Captions", "說明文字"),
    "rows": ("Rows", "列數"),
    "form": ("Form", "形式"),
    "stage": ("Stage", "階段"),
}
_SCORES: Mapping[str, Label] = {
    "validation_loss": ("Validation loss", "驗證損失"),
    "validation_accuracy": ("Validation accuracy", "驗證正確率"),
}
_OVER_FOLDS: Label = (" over folds", "（交叉驗證）")
_MORE: Mapping[str, Label] = {
    "kind": ("Kind", "種類"),
    "learning_rates": ("Learning rate", "學習率"),
    "skipped_steps": ("Skipped steps", "略過的步數"),
}
_ALWAYS = ("steps", "batch_size", "stage", "learning_rates")
"""What is told of a training even where it is as usual."""
_YES, _NO, _NONE = ("yes", "是"), ("no", "否"), ("none", "無")


def scores_told(card: AdapterCard, language: int) -> str:
    """Return every score with its name, such as ``Validation loss 2.773``."""
    told = []
    for name, value in card.scores.items():
        if name.endswith("_deviation") and f"{name.removesuffix('_deviation')}_mean" in card.scores:
            continue  # stands behind its mean
        plain = name.removeprefix("folds_").removesuffix("_mean")
        label = _label(_SCORES, plain, language) + (_OVER_FOLDS[language] if name.startswith("folds_") else "")
        spread = card.scores.get(f"{name.removesuffix('_mean')}_deviation") if name.endswith("_mean") else None
        told.append(f"{label} {value:.3f}" + (f" ± {spread:.3f}" if spread is not None else ""))
    return ", ".join(told)


def data_told(card: AdapterCard, language: int) -> str:
    """Return what was learned from."""
    return _joined([(_label(_DATA, key, language), value) for key, value in card.data.items()], language)


def training_told(card: AdapterCard, language: int) -> str:
    """Return the settings of a training that are not the usual ones of its kind of run; all, where that is unknown."""
    facts = {key: value for key, value in card.training.items() if key not in ("about", "stage_settings")}
    kind = run_kinds().get(str(facts.get("kind", "")))
    told: list[tuple[str, Any]] = []
    if kind is not None:
        told.append((_MORE["kind"][language], kind_title(kind, bool(language))))
        del facts["kind"]
        usual = {
            name: field.get_default(call_default_factory=True)
            for name, field in kind.settings.model_fields.items()
            if not field.is_required()
        } | {"skipped_steps": 0}
        facts = {key: value for key, value in facts.items() if key in _ALWAYS or not _same(value, usual.get(key))}
    of_stage = card.training.get("stage_settings")
    for key, value in (*facts.items(), *(of_stage.items() if isinstance(of_stage, Mapping) else ())):
        shown = STAGES.get(str(value), value) if key == "stage" and language else value
        told.append((_setting(kind.name if kind else "", key, language), shown))
    return _joined(told, language)


def plan_told(method: str, settings: Mapping[str, Any], language: int) -> str:
    """Return a method with its settings."""
    told = _joined([(_setting("", key, language), value) for key, value in settings.items()], language)
    return f"{method}; {told}" if told else method


def _joined(facts: Iterable[tuple[str, Any]], language: int) -> str:
    return ", ".join(f"{label} {_plain(value, language)}" for label, value in facts if value is not None)


def _plain(value: object, language: int) -> str:
    if isinstance(value, Mapping):
        told = [f"{_plain(item, language)} {_label(PARTS, str(key), language)}" for key, item in value.items()]
        return (" and ", "、")[language].join(told) or _NONE[language]
    if isinstance(value, bool):
        return (_YES if value else _NO)[language]
    if isinstance(value, list | tuple):
        return "+".join(str(item) for item in value) or _NONE[language]
    return str(value)


def _setting(kind: str, name: str, language: int) -> str:
    """Return what a form calls a setting."""
    if name in _MORE:
        return _MORE[name][language]
    english = ENGLISH.get(name) or label_of(name)
    return CHINESE.get(f"{kind}.{name}", CHINESE.get(name, (english,)))[0] if language else english


def _label(table: Mapping[str, Label], key: str, language: int) -> str:
    return table[key][language] if key in table else key.replace("_", " ")


def _same(value: object, usual: object) -> bool:
    """Whether a value as JSON keeps it is the usual one."""
    return value == (list(usual) if isinstance(usual, tuple) else usual)
