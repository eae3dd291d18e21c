"""The ends of keys in adapter files, in all spellings, and the layer that one module's tensors make."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipelines.formats._layer import Layer, is_finite_scale

# End of the key -> plain name. Where two fit, the longer one counts.
_ENDS: Mapping[str, str] = {
    "lora_down.weight": "down",
    "lora_up.weight": "up",
    "lora_mid.weight": "mid",
    "lora.down.weight": "down",
    "lora.up.weight": "up",
    "lora_linear_layer.down.weight": "down",
    "lora_linear_layer.up.weight": "up",
    "lora_A.weight": "down",
    "lora_B.weight": "up",
    "lora_magnitude_vector": "peft_magnitude",
    "lora_magnitude_vector.weight": "peft_magnitude",
    "dora_scale": "dora_scale",
    "alpha": "alpha",
    **{f"hada_{name}": f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f"lokr_{name}": f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    "oft_blocks": "oft_blocks",
    "rescale": "rescale",
    **{f"{name}.weight": f"glora_{name}" for name in ("a1", "a2", "b1", "b2", "bm")},
    "diff": "diff",
    "diff_b": "diff_b",
    "w_norm": "diff",
    "b_norm": "diff_b",
    "on_input": "on_input",
    "weight": "ia3_weight",
}
_BY_LENGTH = sorted(_ENDS, key=len, reverse=True)
# Old diffusers: a processor's child named after the layer that it changes.
_PROCESSOR = re.compile(r"(?P<host>.{1,200}?)(\.processor)?\.(?P<leaf>to_q|to_k|to_v|to_out)_lora\.(?P<end>.{1,20})")
# PEFT in memory: the adapter's own name stands in the key, such as ``lora_A.default_0.weight``.
_NAMED = re.compile(
    r"(?P<host>.{1,400})\.(?P<leaf>lora_A|lora_B|lora_magnitude_vector)\.(?!weight$|bias$)(?P<adapter>[^.]{1,100})"
    r"(?P<end>\.weight)?"
)
_TEXT_LEAVES = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
_PROCESSOR_ENDS = {"down.weight": "down", "up.weight": "up", "alpha": "alpha"}
_LOKR = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")
_LOHA = ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")


def split_key(key: str) -> tuple[str, str] | None:
    """Split a key into the module's name as the file has it and the tensor's plain name; None where it is unknown."""
    old = _PROCESSOR.fullmatch(key)
    if old and old["end"] in _PROCESSOR_ENDS:
        leaf = old["leaf"]
        if old["host"].endswith("self_attn"):
            leaf = _TEXT_LEAVES[leaf]
        elif leaf == "to_out":
            leaf = "to_out.0"
        return f"{old['host']}.{leaf}", _PROCESSOR_ENDS[old["end"]]
    key = unnamed_key(key)
    for end in _BY_LENGTH:
        if key.endswith(f".{end}"):
            return key[: -len(end) - 1], _ENDS[end]
    return None


def unnamed_key(key: str) -> str:
    """Return a key without the name of the adapter that PEFT keeps in it."""
    named = _NAMED.fullmatch(key)
    if named is None or (named["end"] is None and named["leaf"] != "lora_magnitude_vector"):
        return key
    return f"{named['host']}.{named['leaf']}{named['end'] or ''}"


def layer_of(leaves: Mapping[str, Tensor], host: nn.Module) -> Layer:
    """Return the layer that a module's tensors make.

    Raises:
        ValueError: with the reason, where they are of no known kind, incomplete, or do not fit the module.
    """
    weight: Tensor = host._parameters["weight"]
    rest = dict(leaves)
    alpha = _number(rest.pop("alpha", None), "alpha")
    extra = _extras(rest, weight)
    layer = _kind(rest, weight, alpha)
    if rest:
        raise ValueError(f"it also holds {', '.join(sorted(rest))}, which does not belong to {layer.title}")
    layer = Layer(layer.kind, {**layer.tensors, **extra}, layer.scale)
    if layer.magnitude and layer.kind not in ("lora", "loha", "lokr"):
        known = f"{layer.title} takes none" if layer.tensors.keys() - extra.keys() else "its factors are missing"
        raise ValueError(f"a magnitude (dora_scale) stands alone: {known}")
    if not is_finite_scale(layer.scale):
        raise ValueError(f"its scale {layer.scale} is out of range")
    bias = host._parameters.get("bias")
    if "bias" in layer.tensors and (bias is None or bias.shape != layer.tensors["bias"].shape):
        raise ValueError("it changes a bias that the module lacks or that has another shape")
    return layer


def _kind(rest: dict[str, Tensor], weight: Tensor, alpha: float | None) -> Layer:
    if "down" in rest or "up" in rest:
        return _lora(rest, weight, alpha)
    if any(name.startswith("hada_") for name in rest):
        return _loha(rest, weight, alpha)
    if any(name.startswith("lokr_") for name in rest):
        return _lokr(rest, weight, alpha)
    if any(name.startswith("glora_") for name in rest):
        return _glora(rest, weight, alpha)
    if "oft_blocks" in rest:
        return _oft(rest, weight, alpha)
    if "ia3_weight" in rest:
        return _ia3(rest, weight)
    if "diff" in rest:
        return Layer("full", {"weight": _shaped(rest.pop("diff"), weight.shape, "diff")})
    return Layer("full", {})


def _lora(rest: dict[str, Tensor], weight: Tensor, alpha: float | None) -> Layer:
    missing = [name for name in ("down", "up") if name not in rest]
    if missing:
        raise ValueError(f"its {missing[0]} factor is missing")
    down, up = rest.pop("down"), rest.pop("up")
    middle = rest.pop("mid", None)
    rank = int(up.shape[1]) if up.ndim > 1 else 0
    if middle is not None:  # Tucker: [r, r, k, k] between 1x1 factors folds into the lower one, exactly
        _check(middle.ndim == 4 and tuple(middle.shape[:2]) == (rank, down.shape[0]), "lora_mid", middle)
        flat = down.double().flatten(1)
        _check(flat.shape[1] == weight.shape[1], "lora_down", down)
        down = torch.einsum("pq...,qi->pi...", middle.double(), flat).to(down.dtype)
    _check(up.ndim > 1 and up.numel() == weight.shape[0] * rank and up.shape[0] == weight.shape[0], "lora_up", up)
    _check(down.ndim > 1 and down.shape[0] == rank, "lora_down", down)
    _check(down.numel() == rank * weight[0].numel() and rank > 0, "lora_down", down)
    tensors = {"up": up.reshape(-1, rank), "down": down.reshape(rank, *weight.shape[1:])}
    return Layer("lora", tensors, 1.0 if alpha is None else alpha / rank)


def _loha(rest: dict[str, Tensor], weight: Tensor, alpha: float | None) -> Layer:
    own = {name: rest.pop(f"hada_{name}") for name in _LOHA if f"hada_{name}" in rest}
    missing = [name for name in _LOHA[:4] if name not in own]
    if missing or ("t1" in own) != ("t2" in own):
        raise ValueError(f"its hada_{(missing or ['t1 or hada_t2'])[0]} is missing")
    o, i, rank = weight.shape[0], weight[0].numel(), int(own["w1_b"].shape[0])
    for number in ("1", "2"):
        a, b = own[f"w{number}_a"], own[f"w{number}_b"]
        if "t1" in own:
            core = own[f"t{number}"]
            _check(a.shape == (core.shape[0], o) and b.shape == (core.shape[1], weight.shape[1]), "hada factor", a)
            _check(weight.ndim == 4 and core.shape[2:] == weight.shape[2:], "hada core", core)
        else:
            _check(a.ndim == 2 and a.shape[0] == o and b.ndim > 1 and b.shape[0] == a.shape[1], "hada factor", a)
            _check(b[0].numel() == i, "hada factor", b)
            own[f"w{number}_b"] = b.flatten(1)
    return Layer("loha", own, 1.0 if alpha is None else alpha / rank)


def _lokr(rest: dict[str, Tensor], weight: Tensor, alpha: float | None) -> Layer:
    own = {name: rest.pop(f"lokr_{name}") for name in _LOKR if f"lokr_{name}" in rest}
    for number in ("1", "2"):
        pair = {f"w{number}_a", f"w{number}_b"} & own.keys()
        if (f"w{number}" in own) == bool(pair) or len(pair) == 1:
            raise ValueError(f"it must hold either lokr_w{number} or both lokr_w{number}_a and lokr_w{number}_b")
    first = tuple(own["w1"].shape) if "w1" in own else (own["w1_a"].shape[0], own["w1_b"].shape[-1])
    if "w1_a" in own:
        _check(own["w1_a"].ndim == own["w1_b"].ndim == 2, "lokr_w1_a", own["w1_a"])
        _check(own["w1_a"].shape[1] == own["w1_b"].shape[0], "lokr_w1_a", own["w1_a"])
    if "w2" in own:
        second = (own["w2"].shape[0], own["w2"][0].numel())
    elif "t2" in own:
        core, a, b = own["t2"], own["w2_a"], own["w2_b"]
        fits = core.ndim == 4 and a.ndim == b.ndim == 2 and core.shape[:2] == (a.shape[0], b.shape[0])
        _check(fits, "lokr_t2", core)
        second = (a.shape[1], b.shape[1] * core[0, 0].numel())
    else:
        a, b = own["w2_a"], own["w2_b"] = own["w2_a"], own["w2_b"].flatten(1)
        _check(a.ndim == 2 and a.shape[1] == b.shape[0], "lokr_w2_a", a)
        second = (a.shape[0], b.shape[1])
    if len(first) != 2 or (first[0] * second[0], first[1] * second[1]) != (weight.shape[0], weight[0].numel()):
        raise ValueError(f"its Kronecker product of {list(first)} and {list(second)} is not {list(weight.shape)}")
    decomposed = "w1_b" in own or "w2_b" in own
    # LyCORIS takes its alpha for 1 where both factors are whole, whatever the file says.
    plain = Layer("lokr", own)
    return Layer("lokr", own, alpha / plain.rank if decomposed and alpha is not None else 1.0)


def _oft(rest: dict[str, Tensor], weight: Tensor, alpha: float | None) -> Layer:
    blocks = rest.pop("oft_blocks")
    kind = "boft" if blocks.ndim == 4 else "oft"
    fits = blocks.ndim in (3, 4) and blocks.shape[-1] == blocks.shape[-2]
    _check(fits and blocks.shape[-3:-1].numel() == weight.shape[0], "oft_blocks", blocks)
    if kind == "boft":  # the last factor mixes outputs that lie 2^(m-2) blocks apart
        size, factors = blocks.shape[-1], blocks.shape[0]
        _check(
            size % 2 == 0 and 0 < factors <= 32 and weight.shape[0] % (size << (factors - 1)) == 0, "oft_blocks", blocks
        )
    own = {"blocks": blocks}
    if "rescale" in rest:
        own["rescale"] = rest.pop("rescale").flatten()
        _check(len(own["rescale"]) == weight.shape[0], "rescale", own["rescale"])
    if alpha:
        own["limit"] = torch.tensor(alpha, dtype=torch.float64)
    return Layer(kind, own)


def _glora(rest: dict[str, Tensor], weight: Tensor, alpha: float | None) -> Layer:
    if rest.pop("glora_bm", None) is not None:
        raise ValueError("it is a GLoRA with a Tucker core, which is not read")
    names = ("a1", "a2", "b1", "b2")
    missing = [name for name in names if f"glora_{name}" not in rest]
    if missing:
        raise ValueError(f"its {missing[0]} factor is missing")
    a1, a2, b1, b2 = (rest.pop(f"glora_{name}") for name in names)
    outputs, inputs = weight.shape[0], weight.shape[1]
    if weight.ndim == 2 and a1.ndim == 2 and a1.shape[0] != inputs == a1.shape[1]:
        a1, a2, b1, b2 = a2, a1, b2, b1  # LyCORIS 1 counted the factors from the other end
    rank = int(b1.shape[1]) if b1.ndim > 1 else 0
    _check(rank > 0 and b1.shape[0] == outputs and b1.numel() == outputs * rank, "b1", b1)
    _check(b2.ndim > 1 and b2.shape[0] == rank and b2.numel() == rank * weight[0].numel(), "b2", b2)
    _check(a1.ndim > 1 and a1.shape[:2] == (inputs, rank) and a1.numel() == inputs * rank, "a1", a1)
    _check(a2.ndim > 1 and a2.shape[:2] == (rank, inputs) and a2.numel() == rank * inputs, "a2", a2)
    own = {"a1": a1.flatten(1), "a2": a2.flatten(1), "b1": b1.flatten(1), "b2": b2.flatten(1)}
    return Layer("glora", own, alpha / rank if alpha else 1.0)  # LyCORIS takes an alpha of 0 for the rank


def _ia3(rest: dict[str, Tensor], weight: Tensor) -> Layer:
    offset, flag = rest.pop("ia3_weight"), _number(rest.pop("on_input", None), "on_input")
    if flag is None:
        raise ValueError("it holds a plain weight without on_input, so it is not IA³")
    axis, name = (1, "input") if flag else (0, "output")
    _check(offset.numel() == weight.shape[axis], "weight", offset)
    return Layer("ia3", {name: offset.flatten() + 1})


def _extras(rest: dict[str, Tensor], weight: Tensor) -> dict[str, Tensor]:
    """Take a magnitude and a bias out of the leaves."""
    extra: dict[str, Tensor] = {}
    if "peft_magnitude" in rest:
        magnitude = rest.pop("peft_magnitude").flatten()
        _check(len(magnitude) == weight.shape[0], "lora_magnitude_vector", magnitude)
        extra["magnitude"] = magnitude
    if "dora_scale" in rest:
        scale = rest.pop("dora_scale")
        outputs, inputs = weight.shape[0], weight.shape[1]
        if scale.numel() == outputs == scale.shape[0]:
            extra["magnitude"] = scale.flatten()
        elif scale.ndim > 1 and scale.numel() == inputs == scale.shape[1]:
            extra["magnitude_input"] = scale.flatten()
        else:
            _check(False, "dora_scale", scale)
    if "diff_b" in rest:
        extra["bias"] = rest.pop("diff_b").flatten()
    return extra


def _number(tensor: Tensor | None, name: str) -> float | None:
    if tensor is None:
        return None
    if tensor.numel() != 1:
        raise ValueError(f"its {name} holds {tensor.numel()} numbers, not one")
    return float(tensor)


def _shaped(tensor: Tensor, shape: torch.Size, name: str) -> Tensor:
    _check(tensor.numel() == shape.numel() and tensor.shape[0] == shape[0], name, tensor)
    return tensor.reshape(shape)


def _check(fits: bool, name: str, tensor: Tensor) -> None:
    if not fits:
        raise ValueError(f"its {name} {list(tensor.shape)} does not fit")
