"""Layers of an adapter brought into forms that a format can hold and that its reader applies as they are meant."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipelines.families import LoadedBase
from pipelines.formats import Format
from pipelines.formats._layer import Layer, dense, low_rank
from pipelines.formats._magnitudes import over_base
from pipelines.formats._names import ModuleNames
from pipelines.readers import Reader
from pipelines.readers._reader import BASE
from trainers.errors import UserError, raise_problems
from trainers.wording import count_of

Layers = Mapping[str, Mapping[str, Layer]]
"""part -> path -> layer"""


def fitted(
    layers: Layers, chosen: Format, base: LoadedBase | None, rank: int | None, reader: Reader | None
) -> tuple[dict[str, dict[str, Layer]], list[str]]:
    """Turn layers that the format or its reader has no form for into ones that it has.

    Raises:
        UserError: there is no such form, or finding it takes a base that is not given.
    """
    kinds = chosen.kinds & reader.kinds[chosen.name] if reader is not None else chosen.kinds
    done: dict[str, dict[str, Layer]] = {}
    notes: list[str] = []
    problems: list[str] = []
    became: dict[str, int] = {}
    worst = 0.0
    for part, own in layers.items():
        done[part] = {}
        for path, layer in own.items():
            if (rank is None and layer.form in kinds) or (rank is not None and layer.form == "lora"):
                done[part][path] = layer
                continue
            if rank is None and "full" not in kinds:
                problems.append(f"{part}/{path} is {layer.title}")
                continue
            full = dense(layer, _weight(layer, part, path, base))
            if rank is None:
                done[part][path] = full
                became[layer.title] = became.get(layer.title, 0) + 1
                continue
            weight = full.tensors.get("weight")
            words = base is not None and isinstance(base.parts[part].get_submodule(path), nn.Embedding)
            if weight is None or weight.ndim < 2 or words or "bias" in full.tensors:
                problems.append(f"{part}/{path} changes a norm, a bias or the words, which LoRA cannot")
                continue
            done[part][path], error = low_rank(weight, rank)
            worst = max(worst, error)
    lacking = f"{chosen.title} has no form for {count_of(len(problems), 'module')}"
    if reader is not None and reader.formats[0] != chosen.name:
        lacking += f" that {reader.title} would apply; leave --format away to get {reader.formats[0]}"
    elif "full" not in chosen.kinds:
        lacking += "; write --format kohya"
    raise_problems(f"{lacking}, or LoRA of a fixed rank with --rank:", problems)
    if worst:
        notes.append(f"brought to LoRA of rank {rank}: up to {100 * worst:.2g} % of a module's delta was lost.")
    if reader is not None and became:
        listed = ", ".join(f"{count} × {title}" for title, count in became.items())
        notes.append(
            f"{listed} became full deltas, which {reader.title} applies exactly: as large as the weights. --rank N "
            "writes small LoRA in their place, with the loss."
        )
    return done, notes


def suited(
    layers: Layers, reader: Reader, chosen: Format, base: LoadedBase, names: ModuleNames
) -> tuple[dict[str, dict[str, Layer]], list[str]]:
    """Return layers as one reader must find them to give the weights that are meant, and what was done."""
    notes: list[str] = []
    done = {part: dict(own) for part, own in reader.complete(layers, names).items()}
    added = sum(map(len, done.values())) - sum(map(len, layers.values()))
    if added:
        stand = f"{count_of(added, 'module')} without a change {'stands' if added == 1 else 'stand'} beside others"
        notes.append(f"{stand}, which {reader.title} takes only together.")
    if not reader.bias_alone:
        notes += _with_weights(done, base, reader)
    if reader.magnitude == BASE and "dora" in reader.kinds[chosen.name]:
        notes += _over_the_base(done, base, reader)
    return done, notes


def _with_weights(layers: dict[str, dict[str, Layer]], base: LoadedBase, reader: Reader) -> list[str]:
    """Put a weight's change of zero beside a bias that stands alone."""
    size = count = 0
    for part, own in layers.items():
        for path, layer in own.items():
            if layer.kind == "full" and "weight" not in layer.tensors:
                zero = torch.zeros(_base_weight(base, part, path).shape)
                own[path] = Layer("full", {**layer.tensors, "weight": zero})
                size, count = size + zero.numel(), count + 1
    if not count:
        return []
    return [
        f"{count} biases stand beside a change of weight of zero, because {reader.title} stops at a bias alone: "
        f"{size:,} numbers more."
    ]


def _over_the_base(layers: dict[str, dict[str, Layer]], base: LoadedBase, reader: Reader) -> list[str]:
    count = 0
    for part, own in layers.items():
        for path, layer in own.items():
            if layer.magnitude == "magnitude":
                own[path] = over_base(layer, _base_weight(base, part, path))
                count += 1
    if not count:
        return []
    return [
        f"{count} DoRA magnitudes are written as {reader.title} takes them, over the norm of the base's weight. "
        "Programs that take them over weight and change (kohya's scripts, diffusers, PEFT) need a file of their own; "
        "the file's metadata says which this is, and import here goes by it."
    ]


def _weight(layer: Layer, part: str, path: str, base: LoadedBase | None) -> Tensor:
    if base is None:
        raise UserError(f"{layer.title} needs its base to be written in this format. Give it with --base.")
    return _base_weight(base, part, path)


def _base_weight(base: LoadedBase, part: str, path: str) -> Tensor:
    weight = base.parts[part].get_submodule(path)._parameters["weight"]
    assert weight is not None
    return weight.detach().cpu()
