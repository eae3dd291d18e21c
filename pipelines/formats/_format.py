"""What a format's file states, what reading gives, and the reading that all single-file formats share."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from pipelines.formats._layer import Layer
from pipelines.formats._leaves import layer_of, split_key
from pipelines.formats._names import ModuleNames, Place
from pipelines.formats._source import Source
from pipelines.formats._words import BUNDLED, bundled_rows, read_words
from trainers.adapter import AdapterPart
from trainers.card import AdapterCard
from trainers.errors import UserError, raise_problems
from trainers.wording import count_of, listed

Layers = Mapping[str, Mapping[str, Layer]]
"""part -> path -> layer"""
Embeddings = Mapping[str, Mapping[str, Tensor]]
"""token -> part -> rows [n, d]"""


@dataclass(frozen=True)
class Found:
    """What a format's reader made of a source, with every name looked up in the live model."""

    layers: Layers = field(default_factory=dict)
    whole: Mapping[str, AdapterPart] = field(default_factory=dict)
    """Parts that are a PEFT adapter of a kind without layers here, under the live model's paths."""
    embeddings: Embeddings = field(default_factory=dict)
    unmatched: Sequence[str] = ()
    """Names in the file that the base has no module for, and keys of no known meaning."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    card: AdapterCard | None = None
    """The card of an adapter of this studio."""
    notes: Sequence[str] = ()
    """Sentences on what in the file changes nothing, and on what was read in another way than it stands there."""

    @property
    def matched(self) -> Mapping[str, int]:
        """Number of modules by part, and of embeddings."""
        counts = {part: len(layers) for part, layers in self.layers.items()}
        counts |= {part: len({key.rpartition(".")[0] for key in own.tensors}) for part, own in self.whole.items()}
        return {**counts, **({"embeddings": len(self.embeddings)} if self.embeddings else {})}


@dataclass(frozen=True)
class Export:
    """What a format's writer gets."""

    card: AdapterCard
    layers: Layers
    """Scales are folded into the factors."""
    names: ModuleNames | None
    """The live base's names; None where no base was needed."""
    dtype: torch.dtype | None
    """Number format of the written tensors; None keeps their own."""
    whole: Mapping[str, AdapterPart] = field(default_factory=dict)
    """Parts as they are, for formats that take PEFT's own files."""
    embeddings: Embeddings = field(default_factory=dict)
    base_folder: Path | None = None
    """The base's files, for formats that merge."""
    over_base: bool = False
    """Whether magnitudes per output are meant over the norm of the base's weight alone; the file says so."""
    alphas: bool = False
    """Whether every module must have an alpha beside it; else they are left away where ranks differ."""

    def tensor(self, value: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return a tensor as it goes into the file.

        Args:
            dtype: in place of the file's number format.

        Raises:
            UserError: a value does not fit the number format.
        """
        cast = value.to(dtype or self.dtype or torch.float32)
        if not bool(torch.isfinite(cast).all()):
            kind = str(cast.dtype).removeprefix("torch.")
            raise UserError(f"A value up to {float(value.abs().max()):.3g} does not fit {kind}. Use --save-as fp32.")
        return cast.contiguous()


@dataclass(frozen=True)
class Format:
    """One way in which programs store adapters, as facts."""

    name: str
    """The word used in commands."""
    title: str
    """The programs that read and write it."""
    recognise: Callable[[Source], bool]
    read: Callable[[Source, ModuleNames], Found] | None = None
    write: Callable[[Path, Export], None] | None = None
    merge: Callable[[Path, Export], float] | None = None
    """In place of `write`: put the adapter into the base's weights; returns the largest share of a delta lost."""
    kinds: frozenset[str] = frozenset()
    """The kinds of layers that `write` has a form for; others are written as full deltas where it has that."""
    takes_whole: bool = False
    """Whether `write` also takes parts as PEFT has them, of any kind."""
    is_folder: bool = False
    needs_names: Callable[[AdapterCard], bool] = lambda card: False
    """Whether writing needs the base's own module names."""
    reader: str = ""
    """The one program whose files these are; they are written as it must find them."""
    order: int = 0
    """Formats are asked in this order which of them a source is; the more special ones first."""


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


def is_finite_number(value: object) -> bool:
    """Return whether a value from a file is a usable number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
