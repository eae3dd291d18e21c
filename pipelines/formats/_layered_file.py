"""The reading that all single-file formats share: every module's tensors, looked up in the live model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.formats._format import Found
from pipelines.formats._layer import Layer
from pipelines.formats._leaves import layer_of, split_key
from pipelines.formats._names import ModuleNames, Place
from pipelines.formats._source import Source
from pipelines.formats._words import BUNDLED, bundled_rows, read_words
from trainers.errors import raise_problems
from trainers.wording import count_of, listed


def read_layers(
    source: Source, names: ModuleNames, alpha_of: Callable[[str, str, int], float | None] | None = None
) -> Found:
    """Read a single file of layers, in whatever spelling its names and tensors are.

    Args:
        alpha_of: (part, path, rank) -> the alpha of a LoRA that has none beside it, from the file's metadata.

    Raises:
        UserError: layers are broken or of another shape than the base's; some are named.
    """
    bundled = [bundled_rows(key, tensor) for key, tensor in source.tensors.items() if key.startswith(BUNDLED)]
    words = read_words(source.path.name, bundled, names)
    modules, unmatched = _by_module(source, names)
    layers: dict[str, dict[str, Layer]] = {}
    problems: list[str] = []
    alone: list[str] = []
    for place, keys in modules.items():
        name = keys[0].name
        leaves = {key.leaf: source.tensors[key.whole] for key in keys}
        if leaves.keys() == {"alpha"}:
            alone.append(name)
            continue
        if alpha_of is not None and "alpha" not in leaves and "down" in leaves:
            alpha = alpha_of(place.part, place.path, int(leaves["down"].shape[0]))
            leaves = leaves if alpha is None else {**leaves, "alpha": torch.tensor(alpha, dtype=torch.float64)}
        try:
            _check_once(keys)
            if any(key.name.startswith("oft_") for key in keys) and "alpha" in leaves and not leaves["alpha"].any():
                raise ValueError("its alpha of 0 lets it turn nothing; train it with an alpha such as 0.001")
            layers.setdefault(place.part, {})[place.path] = layer_of(leaves, names.hosts[place])
        except (ValueError, KeyError, IndexError, RuntimeError) as error:
            own = list(names.hosts[place]._parameters["weight"].shape)
            problems.append(f"{name}: {error} (the base's weight is {own})")
    raise_problems(
        f"{source.path.name} does not fit the base, {len(problems)} of {count_of(len(modules), 'module')} "
        f"{'is' if len(problems) == 1 else 'are'} of another shape or broken:"
        f"{about_base(source.metadata, source.tensors)}",
        problems,
    )
    notes = [f"{count_of(len(alone), 'module')} with an alpha alone, which changes nothing: {listed(alone)}."]
    notes = [*(notes if alone else ()), *words.notes]
    return Found(layers, {}, words.rows, [*unmatched, *words.unmatched], source.metadata, notes=notes)


@dataclass(frozen=True)
class _Key:
    """A key of a file, its module's name and the plain name of what it holds."""

    whole: str
    name: str
    leaf: str


def _by_module(source: Source, names: ModuleNames) -> tuple[dict[Place, list[_Key]], list[str]]:
    """Return the keys of every module, under however many spellings it stands in the file, and what has no place."""
    modules: dict[Place, list[_Key]] = {}
    unmatched: dict[str, None] = {}
    for whole in source.tensors:
        if whole.startswith(BUNDLED):
            continue
        split = split_key(whole)
        place = names.find(split[0]) if split is not None else None
        if split is None or place is None:
            unmatched[whole if split is None else split[0]] = None
        else:
            modules.setdefault(place, []).append(_Key(whole, *split))
    return modules, list(unmatched)


def _check_once(keys: Sequence[_Key]) -> None:
    """Refuse two keys that say the same of one module: whichever counted, the other would be lost."""
    seen: dict[str, str] = {}
    for key in keys:
        if seen.setdefault(key.leaf, key.whole) != key.whole:
            raise ValueError(f"the file names this module twice, with {seen[key.leaf]} and {key.whole}")


def about_base(metadata: Mapping[str, str], keys: Mapping[str, Tensor]) -> str:
    """Return a sentence on the base that a file was made for, empty where it does not say."""
    declared = metadata.get("ss_base_model_version") or metadata.get("modelspec.architecture") or ""
    second = ("lora_te2_", "text_encoder_2.", "text_encoders.clip_g.")
    if any(key.startswith(second) or key == "clip_g" or key.endswith(".clip_g") for key in keys):
        declared = declared or "SDXL (it has a second text encoder)"
    if not declared and any("input_blocks_" in key or "add_embedding" in key for key in keys):
        declared = "SDXL (by its UNet's names)"
    return f" It says that it is for {declared[:80]}." if declared else ""
