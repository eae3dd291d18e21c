"""The pocket language model: its size, its loss, its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from training.language_tokens import BEGIN, CONTEXT_TOKENS, END, PAD, chat_tokenizer


@dataclass(frozen=True)
class LanguageSize:
    """Widths and depths of the Llama."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    intermediate: int


POCKET_LANGUAGE = LanguageSize(vocabulary=2048, hidden=224, layers=6, heads=7, intermediate=544)
TINY_LANGUAGE = LanguageSize(vocabulary=320, hidden=16, layers=2, heads=2, intermediate=32)


def build_language_model(size: LanguageSize, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """A Llama with random weights and tied embeddings for the tokenizer's vocabulary."""
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id(BEGIN),
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def language_loss(model: LlamaForCausalLM, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood in nats of each next token; tokens and labels [b, length]."""
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100)


@torch.no_grad()
def document_nats(model: LlamaForCausalLM, tokenizer: Tokenizer, texts: Sequence[str], batch: int = 64) -> list[float]:
    """Negative log-likelihood in nats of each document, its end marker included."""
    device = next(model.parameters()).device
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    nats = [0.0] * len(texts)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        rows = [tokenizer.encode(texts[number]).ids for number in chosen]
        longest = max(len(row) for row in rows)
        tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
        labels = torch.tensor([row + [-100] * (longest - len(row)) for row in rows], device=device)
        logits = model(input_ids=tokens, use_cache=False).logits[:, :-1].float()
        # Flat, since the two-dimensional loss has no deterministic kernel on a GPU.
        wanted = labels[:, 1:]
        flat = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="none")
        losses = flat.view(wanted.shape)
        for number, loss in zip(chosen, losses.double().sum(dim=1).tolist(), strict=True):
            nats[number] = loss
    return nats


def save_language_model(folder: Path, model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    """A folder that transformers loads: bf16 weights, configuration, tokenizer with its chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
        do_sample=True,
        temperature=1.0,
        top_p=0.95,
        max_new_tokens=128,
    )
    model.save_pretrained(folder)
    # The template goes into the tokenizer's configuration and not into a file of its own: older tools read it there.
    chat_tokenizer(tokenizer).save_pretrained(folder, save_jinja_files=False)
