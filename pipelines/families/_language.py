"""What language models of transformers share: finding kinds of layers by their classes, and toy models for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.families._leaves import leaf_targets

if TYPE_CHECKING:
    from torch import nn

_KINDS: Mapping[str, Callable[[str], bool]] = {
    "attention_block": lambda name: name.endswith("Attention"),
    "feed_forward_block": lambda name: name.endswith("MLP"),
    "block": lambda name: name.endswith(("DecoderLayer", "Block")),
    "norm": lambda name: "Norm" in name,
}
_INSIDE = {"attention": "attention_block", "feed_forward": "feed_forward_block"}


def language_targets(model: nn.Module) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Return what turns kinds of layers into literal module names of a bare language model; other words pass."""
    table: dict[str, Sequence[str]] = {word: _names(model, word) for word in (*_KINDS, *_INSIDE)}
    table |= {**leaf_targets(model), "all-linear": _linear(model)}
    return lambda wanted: tuple(dict.fromkeys(name for word in wanted for name in table.get(word, [word])))


def tiny_llama(seed: int = 0) -> Any:
    """Return a random Llama: 2 layers, width 32, grouped-query attention, 64 words."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens = {"vocab_size": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    return LlamaForCausalLM(LlamaConfig(**small, **tokens, num_key_value_heads=2, max_position_embeddings=64)).eval()


def tiny_gpt2(seed: int = 0) -> Any:
    """Return a random GPT-2: 2 layers, width 32, 64 words, tied embeddings."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    tokens = {"vocab_size": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    plain = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, **tokens, **plain)).eval()


def _names(model: nn.Module, word: str) -> list[str]:
    if word in _KINDS:
        return [path for path, module in model.named_modules() if _KINDS[word](type(module).__name__)]
    found = []
    for host in _names(model, _INSIDE[word]):
        leaves = model.get_submodule(host).named_modules()
        found += [f"{host.rpartition('.')[2]}.{leaf}" for leaf, module in leaves if _has_matrix(module)]
    return found


def _linear(model: Any) -> list[str]:
    """Return the full paths of all linear layers but the one that turns states into words."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return [path for path, layer in model.named_modules() if is_linear(layer) and layer is not head]


def is_linear(layer: nn.Module) -> bool:
    """Return whether a layer is a matrix product; ``nf`` tells transformers' Conv1D, as in GPT-2."""
    from torch import nn

    return isinstance(layer, nn.Linear) or (hasattr(layer, "nf") and _has_matrix(layer))


def _has_matrix(module: nn.Module) -> bool:
    weight = module._parameters.get("weight")
    return weight is not None and weight.ndim == 2
