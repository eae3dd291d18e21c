"""Measure GPU memory and speed of QLoRA, LoRA and full fine-tuning on a Llama of about a billion random parameters.

    python benchmarks/quantised.py --table quantised.md          # on a GPU, about a minute
    python benchmarks/quantised.py --tiny                        # on the CPU: times alone, of a toy

The model is built from the published sizes of a 1 B-class Llama with random weights, so nothing is downloaded. Each
cell is a few steps of the library's own loop with its own supervised task, on rows that fill their length. Peak memory
is what torch had allocated at most from attaching on; the base in bf16 is there before. Whether weights are random
changes neither memory nor time.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from measuring import circumstances, footnote

from pipelines.bases import load_text_base
from pipelines.families import TextBase
from pipelines.families._tiny import write_chat_tokenizer
from trainers.config import parse_config
from trainers.data.texts import TextRow
from trainers.loop import ADAPTER, begin, train
from trainers.stages import make_task
from trainers.text_config import PART, TextConfig
from trainers.tuners import peft_bridge as bridge

METHODS = {"qlora": "QLoRA, nf4", "lora": "LoRA, bf16", "full": "full fine-tuning"}
BATCHES = ((1, 1024), (4, 512))
"""Rows and tokens of each."""
BILLION = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 128256,
}
TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 512,
}
_WARM_UP = 2
_GIGA = 1e9


def disable_checkpointing(model: Any) -> None:
    """Turn checkpointing off again; transformers has called the switch by two names."""
    for name in ("activation_checkpointing_disable", "gradient_checkpointing_disable"):
        if hasattr(model, name):
            getattr(model, name)()
            return


def write_llama(folder: Path, sizes: dict[str, int], device: torch.device) -> int:
    """Write a Llama with random weights in bf16, with a byte-level tokenizer; return its number of parameters."""
    from transformers import LlamaConfig, LlamaForCausalLM

    write_chat_tokenizer(folder)
    about = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**about, "model_max_length": 2048}), encoding="utf-8")
    tokens = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = LlamaConfig(**sizes, **tokens, max_position_embeddings=2048, tie_word_embeddings=True)
    torch.manual_seed(0)
    with device:
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder, safe_serialization=True)
    return sum(parameter.numel() for parameter in model.parameters())


def measure(base: TextBase, method: str, rows: int, length: int, checkpointing: bool, options: Any) -> dict[str, Any]:
    """Train a few steps; return tokens per second, and peak memory in bytes where there is a GPU."""
    on_gpu = base.device.type == "cuda"
    # One token of each row is its end.
    texts = [TextRow(f"row {number}", text=chr(97 + number % 26) * (length - 1)) for number in range(rows * 4)]
    steps = _WARM_UP + options.steps
    plan = {"method": method, "settings": {} if method == "full" else {"rank": 16}}
    values = {"data": "-", "name": "cell", "base": "-", "parts": {PART: plan}, "steps": steps, "batch_size": rows}
    config = parse_config({**values, "warmup_steps": 1, "gradient_checkpointing": checkpointing}, TextConfig)
    if on_gpu:
        torch.cuda.synchronize(base.device)
        torch.cuda.reset_peak_memory_stats(base.device)
    training = begin(config, make_task(config, base, texts))
    try:
        taken = []
        started = time.perf_counter()
        for _ in train(training):
            if on_gpu:
                torch.cuda.synchronize(base.device)
            taken.append(time.perf_counter() - started)
            started = time.perf_counter()
        peak = torch.cuda.max_memory_allocated(base.device) if on_gpu else None
        held = torch.cuda.memory_allocated(base.device) if on_gpu else None
    finally:
        if checkpointing:
            disable_checkpointing(base.model)
        bridge.detach(base.model, ADAPTER)
        bridge.set_weights(base.model, {})
    seconds = sorted(taken[_WARM_UP:])[len(taken[_WARM_UP:]) // 2]
    found = training.attached[PART]
    return {
        "trainable": found.trainable,
        "peak_bytes": peak,
        "held_bytes": held,
        "tokens_per_second": rows * length / seconds,
        "step_seconds": seconds,
    }


def measured(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a line for every cell; a base is loaded anew for each method, so that none inherits another's memory."""
    batches = [(1, 16), (2, 8)] if options.tiny else BATCHES
    for method in options.methods:
        base: TextBase | None = load_text_base(str(folder), device=options.device, precision=options.precision)
        for (rows, length), checkpointing in product(batches, (False, True)):
            cell = {"method": method, "rows": rows, "length": length, "checkpointing": checkpointing}
            try:
                assert base is not None
                yield {**cell, **measure(base, method, rows, length, checkpointing, options)}
            except Exception as error:  # the other cells are still to be measured
                text = " ".join(str(error).split())[:300]
                yield {**cell, "error": f"{type(error).__name__}: {text}"}
            gc.collect()
            torch.cuda.empty_cache()
        base = None
        gc.collect()
        torch.cuda.empty_cache()


def as_markdown(lines: list[dict[str, Any]], parameters: int, facts: dict[str, str]) -> str:
    """Return the table."""
    head = "| method | rows × tokens | checkpointing | trainable | peak memory, GB | after a step, GB | tokens/s |"
    rows = [head, "|" + "---|" * (head.count("|") - 1)]
    for line in lines:
        what = f"| {METHODS[line['method']]} | {line['rows']} × {line['length']} "
        what += f"| {'yes' if line['checkpointing'] else 'no'} "
        if "error" in line:
            rows.append(f"{what}| {line['error']} | | | |")
            continue
        peak, held = (
            "not measured" if line[key] is None else f"{line[key] / _GIGA:.2f}" for key in ("peak_bytes", "held_bytes")
        )
        rows.append(f"{what}| {line['trainable']:,} | {peak} | {held} | {line['tokens_per_second']:,.0f} |")
    about = (
        f"A Llama of {parameters:,} random parameters, bf16 arithmetic; {_WARM_UP} steps of warm-up, then the median."
    )
    if lines and all(line.get("peak_bytes") is None for line in lines):
        about = f"A Llama of {parameters:,} random parameters on the CPU, where memory is not measured."
    return "\n".join([about, "", *rows, "", footnote("quantised.py", facts)]) + "\n"


def main() -> int:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words = {"type": lambda text: text.split(","), "default": list(METHODS), "metavar": "A,B"}
    parser.add_argument("--methods", **words, help=f"of {', '.join(METHODS)}")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of each cell (default 5)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--tiny", action="store_true", help="a toy model on the CPU, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add a line for each cell as it is ready")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the Markdown table")
    options = parser.parse_args()
    unknown = [name for name in options.methods if name not in METHODS]
    if unknown:
        parser.error(f"unknown {', '.join(unknown)}; known: {', '.join(METHODS)}")
    options.device = "cpu" if options.tiny else options.device
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(options.device)
    options.precision = "fp32" if device.type == "cpu" else "bf16"
    facts = circumstances(device)
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        parameters = write_llama(Path(folder), TINY if options.tiny else BILLION, device)
        for line in measured(Path(folder), options):
            print(json.dumps(line), file=sys.stderr, flush=True)
            lines.append(line)
            if options.json:
                with open(options.json, "a", encoding="utf-8") as stream:
                    stream.write(json.dumps({**line, **facts}) + "\n")
    table = as_markdown(lines, parameters, facts)
    print(table)
    if options.table:
        options.table.write_text(table, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
