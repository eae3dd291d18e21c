"""Measure blending: time, memory and error, beside PEFT's `add_weighted_adapter` on the same inputs.

    python benchmarks/blend.py                       # both sizes, about five minutes
    python benchmarks/blend.py --only sd15 --peft    # one size

Four random LoRAs of rank 32 on the attention layers of Stable Diffusion 1.5's and SDXL's UNets, by their published
shapes. Errors are against the dense float64 sum of the same layers. Every measurement runs in a process of its own, so
that peak memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from pipelines.blends._blend import Layer
from pipelines.blends._reduce import ReductionSettings, reduce_layers
from pipelines.deltas import Delta, LowRankDelta, lora_part
from pipelines.factors import total
from trainers.storage import write_text

WEIGHTS = (0.4, 0.3, -0.2, 0.5)
RANK = 32
SEED = 0


class Watch:
    """Time since it was made: by the clock, and of the processors, which a busy machine does not stretch."""

    def __init__(self) -> None:
        self.clock, self.processors = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Return both in seconds."""
        return {"seconds": time.perf_counter() - self.clock, "cpu_seconds": time.process_time() - self.processors}


def attention_shapes(size: str) -> dict[str, tuple[int, int]]:
    """Return path -> (outputs, inputs) of the attention layers of a UNet, by its published config."""
    context, blocks = {
        "sd15": (768, [(320, 1, 5), (640, 1, 5), (1280, 1, 5), (1280, 1, 1)]),
        "sdxl": (2048, [(640, 2, 5), (1280, 10, 6)]),
        "tiny": (40, [(48, 1, 2)]),
    }[size]
    shapes: dict[str, tuple[int, int]] = {}
    for level, (width, depth, places) in enumerate(blocks):
        for place in range(places):
            for block in range(depth):
                for attention, inner in (("attn1", width), ("attn2", context)):
                    path = f"blocks.{level}.attentions.{place}.transformer_blocks.{block}.{attention}"
                    shapes[f"{path}.to_q"] = shapes[f"{path}.to_out.0"] = (width, width)
                    shapes[f"{path}.to_k"] = shapes[f"{path}.to_v"] = (width, inner)
    return shapes


def random_loras(size: str) -> list[dict[str, LowRankDelta]]:
    """Return four LoRAs in float64, whose singular values fall as those of trained ones do."""
    generator = torch.Generator().manual_seed(SEED)
    falling = torch.linspace(0, -2, RANK, dtype=torch.float64).exp()
    return [
        {
            path: LowRankDelta(
                torch.randn(o, RANK, generator=generator).double() / o**0.5,
                torch.randn(RANK, i, generator=generator).double() * falling[:, None] / i**0.5,
            )
            for path, (o, i) in attention_shapes(size).items()
        }
        for _ in WEIGHTS
    ]


def layers_of(loras: list[dict[str, LowRankDelta]]) -> dict[tuple[str, str], Layer]:
    """Return the blend's layers."""
    names = tuple(f"lora{number}" for number in range(len(loras)))
    inputs = dict(zip(names, WEIGHTS, strict=True))
    return {
        ("unet", path): Layer("unet", path, names, tuple(lora[path] for lora in loras), WEIGHTS, inputs)
        for path in loras[0]
    }


def blend_exact(size: str) -> dict[str, float]:
    """Blend exactly, down to the tensors of the file."""
    layers = layers_of(random_loras(size))
    watch = Watch()
    deltas = {path: total(layer.deltas, layer.weights) for (_, path), layer in layers.items()}
    part = lora_part({path: delta for path, delta in deltas.items() if isinstance(delta, LowRankDelta)})
    seconds = watch.read()
    written = {path: LowRankDelta(part.tensors[f"base_model.model.{path}.lora_B.weight"].double(),
                                  part.tensors[f"base_model.model.{path}.lora_A.weight"].double())
               for path in deltas}  # fmt: skip
    return {**seconds, "error": worst_error(written, layers)}


def blend_svd(size: str, rank: int = RANK) -> dict[str, float]:
    """Blend and lower every layer to one input's rank."""
    layers = layers_of(random_loras(size))
    watch = Watch()
    full = {address: total(layer.deltas, layer.weights) for address, layer in layers.items()}
    reduced = reduce_layers(full, ReductionSettings(rank=rank))
    lora_part({path: delta for (_, path), delta in reduced.items() if isinstance(delta, LowRankDelta)})
    seconds = watch.read()
    return {**seconds, "error": worst_error({path: delta for (_, path), delta in reduced.items()}, layers)}


def blend_with_peft(size: str, combination: str) -> dict[str, float]:
    """Blend the same inputs with PEFT: `cat`, `svd` or `linear`."""
    from peft import LoraConfig, get_peft_model

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for path, (o, i) in attention_shapes(size).items():
                parent: nn.Module = self
                *steps, leaf = path.split(".")
                for step in steps:
                    if step not in parent._modules:
                        parent.add_module(step, nn.Module())
                    parent = parent._modules[step]
                parent.add_module(leaf, nn.Linear(i, o, bias=False))

    loras = random_loras(size)
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=sorted(attention_shapes(size)))
    with torch.no_grad():
        model = get_peft_model(Bare(), config, "lora0")
        for number in range(1, len(loras)):
            model.add_adapter(f"lora{number}", config)
        for number, lora in enumerate(loras):
            for path, delta in lora.items():
                layer = model.base_model.model.get_submodule(path)
                layer.lora_A[f"lora{number}"].weight.copy_(delta.down)
                layer.lora_B[f"lora{number}"].weight.copy_(delta.up)
        names = [f"lora{number}" for number in range(len(loras))]
        watch = Watch()
        model.add_weighted_adapter(names, list(WEIGHTS), "blend", combination_type=combination)
        seconds = watch.read()
        found: dict[str, Delta] = {}
        for path in loras[0]:
            layer = model.base_model.model.get_submodule(path)
            up, down = layer.lora_B["blend"].weight.double(), layer.lora_A["blend"].weight.double()
            found[path] = LowRankDelta(up, down * layer.scaling["blend"])
    return {**seconds, "error": worst_error(found, layers_of(loras))}


def worst_error(found: dict[str, Delta], layers: dict[tuple[str, str], Layer], count: int = 12) -> float:
    """Return the largest ‖found − Σ wᵢ·ΔWᵢ‖ / ‖Σ wᵢ·ΔWᵢ‖ of evenly spaced layers, densely in float64."""
    paths = sorted(found)
    worst = 0.0
    for path in paths[:: max(1, len(paths) // count)]:
        layer = layers["unet", path]
        exact = sum(delta.dense() * weight for delta, weight in zip(layer.deltas, layer.weights, strict=True))
        assert isinstance(exact, torch.Tensor)
        worst = max(worst, float((found[path].dense() - exact).norm() / exact.norm()))
    return worst


MEASUREMENTS = {
    "exact": lambda size: blend_exact(size),
    "svd": lambda size: blend_svd(size),
    "peft cat": lambda size: blend_with_peft(size, "cat"),
    "peft svd": lambda size: blend_with_peft(size, "svd"),
    "peft linear": lambda size: blend_with_peft(size, "linear"),
}


def measure(name: str, size: str) -> dict[str, float]:
    """Run one measurement in its own process; add its peak memory in MiB."""
    done = subprocess.run(  # noqa: S603 (this very file)
        [sys.executable, __file__, "--one", name, "--only", size], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("sd15", "sdxl", "tiny"))
    parser.add_argument("--blends", nargs="+", choices=tuple(MEASUREMENTS), default=list(MEASUREMENTS))
    parser.add_argument("--out", type=Path, help="Markdown file")
    parser.add_argument("--one", choices=tuple(MEASUREMENTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        found = MEASUREMENTS[options.one](options.only)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
        print(json.dumps({**found, "peak_mib": peak / (1024**2 if sys.platform == "darwin" else 1)}))
        return
    lines = [
        f"Four rank-{RANK} LoRAs on the UNet's attention, weights {WEIGHTS}; {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}. Error: worst of 12 layers against the dense float64 sum. `svd` goes to rank {RANK}, "
        "where an error is expected; both tools must show the same.",
        "",
        "| size | blend | seconds | CPU seconds | worst error | peak memory, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for size in [options.only] if options.only else ["sd15", "sdxl"]:
        for name in options.blends:
            found = measure(name, size)
            times = f"{found['seconds']:.2f} | {found['cpu_seconds']:.2f}"
            line = f"| {size} | {name} | {times} | {found['error']:.1e} | {found['peak_mib']:.0f} |"
            print(line, flush=True)
            lines.append(line)
    if options.out:
        write_text(options.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
