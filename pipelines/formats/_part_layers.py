"""A part of a library adapter as layers, with the scale that PEFT would give each."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from pipelines.deltas import BIAS, WORDS_DOWN, WORDS_UP, words_delta
from pipelines.effective import effective_deltas
from pipelines.formats._layer import Layer, dense
from trainers.adapter import KEY_PREFIX, AdapterPart
from trainers.errors import UserError
from trainers.tuners import peft_bridge as bridge

DELTA_TYPE = "STUDIO_DELTA"
_LOKR_NAMES = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")


def layers_of_part(part: AdapterPart) -> dict[str, Layer] | None:
    """Return a part's layers by path; None where its kind has no form of its own in any file format.

    Raises:
        UserError: it holds tensors that its kind does not have.
    """
    kind = part.config.get("peft_type")
    reader = {"LORA": _read_lora, "LOHA": _read_loha, "LOKR": _read_lokr, DELTA_TYPE: _read_delta}.get(str(kind))
    return reader(part) if reader is not None else None


def embedding_of_part(part: AdapterPart) -> tuple[str, Tensor]:
    """Return the name and rows [n, d] of a new word.

    Raises:
        UserError: the part does not hold both.
    """
    rows = next((tensor for key, tensor in part.tensors.items() if key.endswith(".beside.vectors")), None)
    settings = part.config.get("settings")
    token = settings.get("word") if isinstance(settings, dict) else None
    if rows is None or not isinstance(token, str):
        raise UserError("The adapter holds no word that could be written.")
    return token, rows


def ia3_layers(part: AdapterPart, module: nn.Module) -> dict[str, Layer]:
    """Return a PEFT IA³ part as layers: IA³ where a file's IA³ says the same, full deltas where it does not.

    PEFT multiplies a layer's output with its bias; a file's IA³ leaves the bias alone.
    """
    layers = {}
    inputs = part.config.get("feedforward_modules") or ()
    for path, own in _grouped(part, ("ia3_l",)).items():
        value = own["ia3_l"].flatten()
        host = module.get_submodule(path)
        if any(by_pattern({name: True}, path, False) for name in inputs):
            layers[path] = Layer("ia3", {"input": value})
            continue
        layer = Layer("ia3", {"output": value})
        bias = host._parameters.get("bias")
        if bias is not None:
            change = bias.detach().cpu().double() * (value.double() - 1)
            layer = dense(Layer("ia3", {**layer.tensors, "bias": change}), host._parameters["weight"].detach().cpu())
        layers[path] = layer
    return layers


def merged_layers(part: AdapterPart, module: nn.Module, *, what: str) -> dict[str, Layer]:
    """Return any mergeable part's effect on a bare live module as full deltas.

    Raises:
        UserError: the part does not fit the module, or its method is no change of weights.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name, delta in effective_deltas(module, part, what=what).items():
        leaf = BIAS if name.endswith(BIAS) else ".weight"
        found.setdefault(name.removesuffix(BIAS), {})[leaf[1:]] = delta.dense()
    return {path: Layer("full", tensors) for path, tensors in found.items()}


class attached_part:
    """Attach a part to a module for the length of a block, at weight 1."""

    def __init__(self, part: AdapterPart, module: nn.Module, *, what: str) -> None:
        self.part, self.module, self.what, self.adapter = part, module, what, "format_probe"

    def __enter__(self) -> str:
        try:
            config = bridge.config_from_json(self.part.config, what=self.what)
            bridge.attach(self.module, config, self.adapter, what=self.what)
            bridge.load_state(self.module, self.adapter, self.part.tensors, what=self.what)
        except BaseException:
            self.__exit__()
            raise
        return self.adapter

    def __exit__(self, *_: object) -> None:
        bridge.detach(self.module, self.adapter)
        self.module.requires_grad_(False)


def peft_scale(config: Mapping[str, Any], path: str, rank: int) -> float:
    """Return what PEFT multiplies a layer's product by: alpha / rank, or alpha / √rank."""
    alpha = float(by_pattern(config.get("alpha_pattern"), path, config.get("lora_alpha", config.get("alpha", rank))))
    return alpha / rank**0.5 if config.get("use_rslora") else alpha / rank


def by_pattern(pattern: Any, path: str, default: Any) -> Any:
    """Look a layer up as PEFT does: the first key that is the path or its end after a dot; a dot fits any character."""
    for key, value in (pattern or {}).items():
        tail, head = path[-len(key) :], path[: len(path) - len(key)]
        ends = len(tail) == len(key) and (not head or head.endswith("."))
        if ends and all(k in (".", c) for k, c in zip(key, tail, strict=True)):
            return value
    return default


def _read_lora(part: AdapterPart) -> dict[str, Layer]:
    words = (WORDS_DOWN[1:], WORDS_UP[1:])
    grouped = _grouped(part, ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector", *words))
    layers = {}
    for path, own in grouped.items():
        if words[0] in own:
            layers[path] = Layer("full", {"weight": words_delta(part, f"{KEY_PREFIX}{path}{WORDS_DOWN}")[1].float()})
            continue
        down, up = own["lora_A.weight"], own["lora_B.weight"].flatten(1)
        tensors = {"up": up, "down": down}
        if "lora_magnitude_vector" in own:
            tensors["magnitude"] = own["lora_magnitude_vector"].flatten()
        layers[path] = Layer("lora", tensors, peft_scale(part.config, path, int(down.shape[0])))
    return layers


def _read_loha(part: AdapterPart) -> dict[str, Layer]:
    names = [f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")]
    layers = {}
    for path, own in _grouped(part, names).items():
        tensors = {name.removeprefix("hada_"): tensor for name, tensor in own.items()}
        rank = int(tensors["w1_b"].shape[0])
        layers[path] = Layer("loha", tensors, peft_scale(part.config, path, rank))
    return layers


def _read_lokr(part: AdapterPart) -> dict[str, Layer]:
    layers = {}
    for path, own in _grouped(part, [f"lokr_{name}" for name in _LOKR_NAMES]).items():
        tensors = {name.removeprefix("lokr_"): tensor for name, tensor in own.items()}
        declared = int(by_pattern(part.config.get("rank_pattern"), path, part.config.get("r", 8)))
        layers[path] = Layer("lokr", tensors, peft_scale(part.config, path, declared))
    return layers


def _read_delta(part: AdapterPart) -> dict[str, Layer]:
    return {
        path.removesuffix(".sidecar_delta"): Layer("full", own)
        for path, own in _grouped(part, ("beside.weight", "beside.bias"), strip="beside.").items()
    }


def _grouped(part: AdapterPart, names: Sequence[str], strip: str = "") -> dict[str, dict[str, Tensor]]:
    """Return path -> name -> tensor.

    Raises:
        UserError: a key ends in none of the names.
    """
    grouped: dict[str, dict[str, Tensor]] = {}
    for key, tensor in part.tensors.items():
        end = next((name for name in names if key.endswith(f".{name}")), None)
        if end is None:
            raise UserError(f"The adapter holds the tensor {key}, which no file format has a place for.")
        path = key.removeprefix(KEY_PREFIX)[: -len(end) - 1]
        grouped.setdefault(path, {})[end.removeprefix(strip)] = tensor
    return grouped
