"""Adapter files as other programs write them, made by hand on the toy base, with the deltas that they stand for.

Nothing here calls the code under test: names are written out, and formulas are plain float64 loops and `torch.kron`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines.families import LoadedBase

Leaves = dict[str, Tensor]

LINEAR = (
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_q",
    "up_blocks.1.attentions.0.transformer_blocks.0.ff.net.2",
)
POINTWISE = ("down_blocks.0.attentions.0.proj_in",)
KERNELS = ("down_blocks.0.resnets.0.conv1", "down_blocks.0.downsamplers.0.conv", "up_blocks.0.upsamplers.0.conv")
TEXT = ("encoder.layers.1.self_attn.v_proj", "encoder.layers.0.mlp.fc1")
NORMS = ("down_blocks.0.attentions.0.norm", "mid_block.attentions.0.transformer_blocks.0.norm1")
# The toy UNet has one resnet per block: its levels are input blocks 1 and 3, output blocks 0-1 and 2-3.
ORIGINAL = {
    LINEAR[0]: "middle_block.1.transformer_blocks.0.attn1.to_q",
    LINEAR[1]: "output_blocks.2.1.transformer_blocks.0.ff.net.2",
    POINTWISE[0]: "input_blocks.1.1.proj_in",
    KERNELS[0]: "input_blocks.1.0.in_layers.2",
    KERNELS[1]: "input_blocks.2.0.op",
    KERNELS[2]: "output_blocks.1.1.conv",
    NORMS[0]: "input_blocks.1.1.norm",
    NORMS[1]: "middle_block.1.transformer_blocks.0.norm1",
}
ALPHAS = (0.5, 4.0, None, 3.0)


@dataclass(frozen=True)
class Made:
    """Tensors of one module by the ends of their keys, and its change of weight and bias in float64."""

    leaves: Leaves
    weight: Tensor | None
    bias: Tensor | None = None
    kohya_root: str = "lora_unet_"


@dataclass(frozen=True)
class Kind:
    """One kind of adapter: how a module's tensors are made, and which modules they are made for."""

    title: str
    make: Callable[[nn.Module, torch.Generator, int], Made]
    unet: tuple[str, ...]
    text: tuple[str, ...] = TEXT


def rand(generator: torch.Generator, *shape: int) -> Tensor:
    """Return normal numbers of size 0.3."""
    return 0.3 * torch.randn(*shape, generator=generator)


def weight_of(host: nn.Module) -> Tensor:
    """Return a module's weight in float64."""
    weight = host._parameters["weight"]
    assert weight is not None
    return weight.detach().double()


def lora(host: nn.Module, g: torch.Generator, number: int, *, tucker: bool = False) -> Made:
    weight = weight_of(host)
    rank, alpha = 1 + number % 3, ALPHAS[number % 4]
    scale = 1.0 if alpha is None else alpha / rank
    tail = weight.shape[2:]
    up = rand(g, weight.shape[0], rank, *([1] * len(tail)))
    leaves: Leaves = {"lora_up.weight": up}
    if tucker and len(tail) and tail[0] > 1:
        down, middle = rand(g, rank, weight.shape[1], 1, 1), rand(g, rank, rank, *tail)
        leaves |= {"lora_down.weight": down, "lora_mid.weight": middle}
        delta = torch.zeros_like(weight)
        for p in range(rank):
            for q in range(rank):
                outer = torch.outer(up[:, p].double().flatten(), down[q].double().flatten())
                delta += outer[:, :, None, None] * middle[p, q].double()
    else:
        down = rand(g, rank, *weight.shape[1:])
        leaves["lora_down.weight"] = down
        delta = sum(  # type: ignore[assignment]
            torch.outer(up[:, k].double().flatten(), down[k].double().flatten()) for k in range(rank)
        ).reshape(weight.shape)
    if alpha is not None:
        leaves["alpha"] = torch.tensor(alpha)
    return Made(leaves, scale * delta)


def tucker(host: nn.Module, g: torch.Generator, number: int) -> Made:
    return lora(host, g, number, tucker=True)


def dora(host: nn.Module, g: torch.Generator, number: int, *, by_output: bool = True) -> Made:
    plain = lora(host, g, number)
    assert plain.weight is not None
    weight = weight_of(host)
    total = weight + plain.weight
    ones = [1] * (weight.ndim - 2)
    axes = [d for d in range(weight.ndim) if d != (0 if by_output else 1)]
    norms = total.square().sum(dim=axes, keepdim=True).sqrt()
    size = weight.shape[0] if by_output else weight.shape[1]
    shape = (size, 1, *ones) if by_output else (1, size, *ones)
    magnitude = (0.5 + torch.rand(size, generator=g)).reshape(shape)
    return Made({**plain.leaves, "dora_scale": magnitude}, total / norms * magnitude.double() - weight)


def dora_input(host: nn.Module, g: torch.Generator, number: int) -> Made:
    return dora(host, g, number, by_output=False)


def loha(host: nn.Module, g: torch.Generator, number: int) -> Made:
    weight = weight_of(host)
    rank, alpha = 2 + number % 2, ALPHAS[number % 4]
    o, i = weight.shape[0], weight[0].numel()
    own = [rand(g, o, rank), rand(g, rank, i), rand(g, o, rank), rand(g, rank, i)]
    leaves = dict(zip(("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), own, strict=True))
    first, second = own[0].double() @ own[1].double(), own[2].double() @ own[3].double()
    scale = 1.0 if alpha is None else alpha / rank
    return Made({**leaves, **_alpha(alpha)}, (scale * first * second).reshape(weight.shape))


def loha_tucker(host: nn.Module, g: torch.Generator, number: int) -> Made:
    weight = weight_of(host)
    rank, (o, i, *k) = 2, weight.shape
    leaves: Leaves = {}
    halves = []
    for half in ("1", "2"):
        core, a, b = rand(g, rank, rank, *k), rand(g, rank, o), rand(g, rank, i)
        leaves |= {f"hada_t{half}": core, f"hada_w{half}_a": a, f"hada_w{half}_b": b}
        total = torch.zeros_like(weight)
        for p in range(rank):
            for q in range(rank):
                total += torch.outer(a[p].double(), b[q].double())[:, :, None, None] * core[p, q].double()
        halves.append(total)
    return Made({**leaves, "alpha": torch.tensor(1.0)}, 0.5 * halves[0] * halves[1])


def lokr(host: nn.Module, g: torch.Generator, number: int) -> Made:
    """Factor 2: a whole small factor, the large one of rank 1."""
    weight = weight_of(host)
    o, i, k = weight.shape[0], weight.shape[1], weight[0, 0].numel()
    first = rand(g, 2, 2)
    a, b = rand(g, o // 2, 1), rand(g, 1, i // 2 * k)
    alpha = ALPHAS[number % 4]
    second = a.double() @ b.double()
    delta = torch.kron(first.double(), second).reshape(weight.shape) * (1.0 if alpha is None else alpha)
    return Made({"lokr_w1": first, "lokr_w2_a": a, "lokr_w2_b": b, **_alpha(alpha)}, delta)


def lokr_whole(host: nn.Module, g: torch.Generator, number: int) -> Made:
    """Both factors whole: the alpha in the file means nothing."""
    weight = weight_of(host)
    first, second = rand(g, 2, 2), rand(g, weight.shape[0] // 2, weight.shape[1] // 2, *weight.shape[2:])
    delta = torch.kron(first.double(), second.double().flatten(1)).reshape(weight.shape)
    return Made({"lokr_w1": first, "lokr_w2": second, "alpha": torch.tensor(7.0)}, delta)


def ia3(host: nn.Module, g: torch.Generator, number: int, *, on_input: bool) -> Made:
    weight = weight_of(host)
    axis = 1 if on_input else 0
    offset = rand(g, weight.shape[axis])
    shape = [1] * weight.ndim
    shape[axis] = -1
    flag = torch.tensor(int(on_input))
    return Made({"weight": offset, "on_input": flag}, weight * offset.double().reshape(shape))


def ia3_input(host: nn.Module, g: torch.Generator, number: int) -> Made:
    return ia3(host, g, number, on_input=True)


def ia3_output(host: nn.Module, g: torch.Generator, number: int) -> Made:
    return ia3(host, g, number, on_input=False)


def oft(host: nn.Module, g: torch.Generator, number: int) -> Made:
    weight = weight_of(host)
    size = 4
    blocks = rand(g, weight.shape[0] // size, size, size)
    turns = []
    for block in blocks.double():
        skew, eye = block - block.T, torch.eye(size, dtype=torch.float64)
        turns.append(torch.linalg.solve(eye - skew, eye + skew, left=False).T)
    rescale = 0.5 + torch.rand(weight.shape[0], *[1] * (weight.ndim - 1), generator=g)
    turned = (torch.block_diag(*turns) @ weight.flatten(1)).reshape(weight.shape)
    return Made({"oft_blocks": blocks, "rescale": rescale}, rescale.double() * turned - weight)


def oft_kohya(host: nn.Module, g: torch.Generator, number: int) -> Made:
    """Kohya's own: the norm of all blocks together is held at alpha times the outputs."""
    weight = weight_of(host)
    size, alpha = 8, 0.01
    blocks = rand(g, weight.shape[0] // size, size, size)
    skews = [block - block.T for block in blocks.double()]
    norm = float(torch.stack(skews).square().sum().sqrt())
    limit = float(torch.tensor(alpha)) * weight.shape[0]
    assert norm > limit
    eye = torch.eye(size, dtype=torch.float64)
    turns = [(torch.linalg.inv(eye - skew * limit / norm).T @ (eye + skew * limit / norm).T) for skew in skews]
    turned = (torch.block_diag(*turns) @ weight.flatten(1)).reshape(weight.shape)
    return Made({"oft_blocks": blocks, "alpha": torch.tensor(alpha)}, turned - weight, kohya_root="oft_unet_")


def boft(host: nn.Module, g: torch.Generator, number: int) -> Made:
    """Every factor as a whole matrix, entry by entry: block n of factor f turns pairs of outputs 2^f · b/2 apart."""
    weight = weight_of(host)
    outputs, size, factors = weight.shape[0], 4, 2
    blocks = rand(g, factors, outputs // size, size, size)
    turned = weight.flatten(1)
    for factor in range(factors):
        reach = 2**factor * size // 2
        order = [
            start + half * reach + k for start in range(0, outputs, 2 * reach) for k in range(reach) for half in (0, 1)
        ]
        whole = torch.zeros(outputs, outputs, dtype=torch.float64)
        for n in range(outputs // size):
            block, eye = blocks[factor, n].double(), torch.eye(size, dtype=torch.float64)
            skew = block - block.T
            turn = torch.linalg.solve(eye - skew, eye + skew)
            for i in range(size):
                for j in range(size):
                    whole[order[n * size + i], order[n * size + j]] = turn[i, j]
        turned = whole @ turned
    rescale = 0.5 + torch.rand(outputs, *[1] * (weight.ndim - 1), generator=g)
    leaves = {"oft_blocks": blocks, "rescale": rescale, "alpha": torch.tensor(0.0)}
    return Made(leaves, rescale.double() * turned.reshape(weight.shape) - weight)


def glora(host: nn.Module, g: torch.Generator, number: int) -> Made:
    """ΔW = s · (W a1 a2 + b1 b2), the first product over inputs at every place of a kernel."""
    weight = weight_of(host)
    rank, alpha = 1 + number % 3, ALPHAS[number % 4]
    o, i, tail = weight.shape[0], weight.shape[1], weight.shape[2:]
    ones = [1] * len(tail)
    a1, a2 = rand(g, i, rank, *ones), rand(g, rank, i, *ones)
    b1, b2 = rand(g, o, rank, *ones), rand(g, rank, i, *tail)
    inside = a1.double().flatten(1) @ a2.double().flatten(1)
    places = weight.reshape(o, i, -1)
    seen = torch.stack([places[:, :, k] @ inside for k in range(places.shape[2])], dim=2).reshape(weight.shape)
    beside = (b1.double().flatten(1) @ b2.double().flatten(1)).reshape(weight.shape)
    leaves = {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2, **_alpha(alpha)}
    return Made(leaves, (1.0 if alpha is None else alpha / rank) * (seen + beside))


def full(host: nn.Module, g: torch.Generator, number: int) -> Made:
    weight, bias = weight_of(host), host._parameters.get("bias")
    norm = weight.ndim == 1
    change = rand(g, *weight.shape)
    leaves: Leaves = {"w_norm" if norm else "diff": change}
    if bias is None:
        return Made(leaves, change.double())
    shift = rand(g, *bias.shape)
    return Made({**leaves, "b_norm" if norm else "diff_b": shift}, change.double(), shift.double())


def mixed(host: nn.Module, g: torch.Generator, number: int) -> Made:
    return (lora, loha, lokr, full)[number % 4](host, g, number)


def _alpha(alpha: float | None) -> Leaves:
    return {} if alpha is None else {"alpha": torch.tensor(alpha)}


KINDS: Mapping[str, Kind] = {
    "lora": Kind("LoRA, ranks and alphas mixed", lora, (*LINEAR, *POINTWISE)),
    "locon": Kind("LoCon (3×3 kernels)", lora, KERNELS),
    "tucker": Kind("LoCon, Tucker", tucker, (*KERNELS, *LINEAR)),
    "dora": Kind("DoRA, output axis", dora, (*LINEAR, *POINTWISE, *KERNELS)),
    "dora_input": Kind("DoRA, input axis", dora_input, (*LINEAR, *KERNELS)),
    "loha": Kind("LoHa", loha, (*LINEAR, *POINTWISE)),
    "loha_tucker": Kind("LoHa, Tucker", loha_tucker, KERNELS, ()),
    "lokr": Kind("LoKr", lokr, (*LINEAR, *KERNELS)),
    "lokr_whole": Kind("LoKr, both factors whole", lokr_whole, LINEAR),
    "ia3_input": Kind("IA³ on inputs", ia3_input, (*LINEAR, *KERNELS)),
    "ia3_output": Kind("IA³ on outputs", ia3_output, (*LINEAR, *KERNELS)),
    "oft": Kind("Diag-OFT of LyCORIS, rescaled", oft, (*LINEAR, *KERNELS)),
    "oft_kohya": Kind("OFT of kohya, held by its alpha", oft_kohya, (*LINEAR, *KERNELS), ()),
    "boft": Kind("BOFT of LyCORIS, rescaled", boft, (*LINEAR, *KERNELS)),
    "glora": Kind("GLoRA of LyCORIS", glora, (*LINEAR, *KERNELS)),
    "full": Kind("full deltas", full, (*LINEAR, *KERNELS)),
    "norms": Kind("norms and biases", full, NORMS, ("encoder.layers.0.layer_norm1", "final_layer_norm")),
    "mixed": Kind("kinds mixed in one part", mixed, (*LINEAR, *POINTWISE, *KERNELS)),
}


def make(kind: Kind, base: LoadedBase, seed: int = 0) -> dict[tuple[str, str], Made]:
    """Return (part, path) -> what a file of that kind holds."""
    generator = torch.Generator().manual_seed(seed)
    places = [("unet", path) for path in kind.unet] + [("text_encoder", path) for path in kind.text]
    return {
        (part, path): kind.make(base.parts[part].get_submodule(path), generator, number)
        for number, (part, path) in enumerate(places)
    }


def kohya_name(part: str, path: str) -> str:
    """Return kohya's name on SD 1.x and 2.x."""
    root = "lora_unet_" if part == "unet" else "lora_te_text_model_"
    return root + path.replace(".", "_")


def write_kohya(path: Path, content: Mapping[tuple[str, str], Made], metadata: dict[str, str] | None = None) -> Path:
    """Write a file as kohya's scripts and LyCORIS do."""

    def name(part: str, module: str) -> str:
        return kohya_name(part, module).replace("lora_unet_", content[part, module].kohya_root)

    return write(path, content, name, lambda end: end, metadata)


def write_comfyui(path: Path, content: Mapping[tuple[str, str], Made]) -> Path:
    """Write a file under ComfyUI's own names."""

    def name(part: str, module: str) -> str:
        text = f"text_encoders.clip_l.transformer.text_model.{module}"
        return f"diffusion_model.{ORIGINAL[module]}" if part == "unet" else text

    return write(path, content, name, lambda end: end)


def write_diffusers(path: Path, content: Mapping[tuple[str, str], Made]) -> Path:
    """Write a LoRA as diffusers does, scales in the metadata."""
    import json

    ends = {"lora_up.weight": "lora_B.weight", "lora_down.weight": "lora_A.weight"}
    ends["dora_scale"] = "lora_magnitude_vector"
    values: dict[str, object] = {"unet.r": 4, "unet.lora_alpha": 3, "text_encoder.r": 4, "text_encoder.lora_alpha": 3}
    for part in ("unet", "text_encoder"):
        own = {p: made for (q, p), made in content.items() if q == part}
        values[f"{part}.alpha_pattern"] = {
            p: float(made.leaves.get("alpha", torch.tensor(float(made.leaves["lora_down.weight"].shape[0]))))
            for p, made in own.items()
        }
    stripped = {
        place: Made({end: tensor for end, tensor in made.leaves.items() if end != "alpha"}, made.weight, made.bias)
        for place, made in content.items()
    }
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(values)}
    return write(path, stripped, _dotted, lambda end: ends[end], metadata)


def write_old_diffusers(path: Path, content: Mapping[tuple[str, str], Made]) -> Path:
    """Write a LoRA as diffusers did in 2023: attention processors, and `lora_linear_layer` in the text encoder."""
    tensors: Leaves = {}
    for (part, module), made in content.items():
        host, _, leaf = module.replace("to_out.0", "to_out").rpartition(".")
        for end, tensor in made.leaves.items():
            way = {"lora_up.weight": "up.weight", "lora_down.weight": "down.weight"}.get(end)
            if part == "text_encoder":
                new = f"lora_linear_layer.{way}" if way else end
                key = f"text_encoder.text_model.{module}.{new}"
            elif leaf.startswith("to_"):
                key = f"unet.{host}.processor.{leaf}_lora.{way or end}"
            else:
                key = f"unet.{module}.lora.{way}" if way else f"unet.{module}.{end}"
            tensors[key] = tensor.clone().contiguous()
    save_file(tensors, path)
    return path


def write_peft(folder: Path, content: Mapping[tuple[str, str], Made]) -> Path:
    """Write a LoRA as PEFT does, a folder for each part."""
    import json

    ends = {"lora_up.weight": "lora_B.weight", "lora_down.weight": "lora_A.weight"}
    ends["dora_scale"] = "lora_magnitude_vector"
    for part in {part for part, _ in content}:
        own = {path: made.leaves for (q, path), made in content.items() if q == part}
        ranks = {path: leaves["lora_down.weight"].shape[0] for path, leaves in own.items()}
        config = {
            "peft_type": "LORA",
            "r": max(ranks.values()),
            "lora_alpha": 1,
            "use_dora": any("dora_scale" in leaves for leaves in own.values()),
            "rank_pattern": ranks,
            "alpha_pattern": {path: float(leaves.get("alpha", ranks[path])) for path, leaves in own.items()},
            "target_modules": sorted(own),
        }
        (folder / part).mkdir(parents=True)
        (folder / part / "adapter_config.json").write_text(json.dumps(config))
        save_file(
            {
                f"base_model.model.{path}.{ends[end]}": tensor.clone().contiguous()
                for path, leaves in own.items()
                for end, tensor in leaves.items()
                if end in ends
            },
            folder / part / "adapter_model.safetensors",
        )
    return folder


def write(
    path: Path,
    content: Mapping[tuple[str, str], Made],
    name: Callable[[str, str], str],
    end_of: Callable[[str], str],
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a single file."""
    tensors = {
        f"{name(part, module)}.{end_of(end)}": tensor.clone().contiguous()
        for (part, module), made in content.items()
        for end, tensor in made.leaves.items()
    }
    save_file(tensors, path, metadata)
    return path


def _dotted(part: str, module: str) -> str:
    return f"unet.{module}" if part == "unet" else f"text_encoder.text_model.{module}"
