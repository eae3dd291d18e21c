"""Trains the pocket language model, a small Llama, from scratch on texts that the text world writes.

    python tools/pocket/train_language_model.py --minutes 6 --out pipelines/pocket/language_model

writes the documents with every processor core, learns a byte-level BPE vocabulary from them, trains, and leaves an
ordinary transformers folder in bf16 with a chat template and a card. `--start` goes on from such a folder, with its
vocabulary, for instance after the grammar has grown. `--tiny` is a thin model for tests.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from text_world import log_probability
from tokenizers import Tokenizer
from torch import nn
from training.corpus import Corpus, contents, gather, texts, write_corpus
from training.language_card import write_language_card
from training.language_model import (
    POCKET_LANGUAGE,
    TINY_LANGUAGE,
    build_language_model,
    document_nats,
    language_loss,
    save_language_model,
)
from training.language_tokens import CONTEXT_TOKENS, learn_language_tokenizer
from training.loop import (
    Average,
    Budget,
    Log,
    autocast,
    make_optimizer,
    pick_device,
    seed_everything,
    set_rate,
    write_record,
)
from transformers import LlamaForCausalLM

PEAK_RATE = 2e-3
DECAY = 0.05
HELD_OUT_DOCUMENTS = 300


def endless_batches(corpus: Corpus, tokens: int, seed: int) -> Iterator[np.ndarray]:
    """Batches of rows, epoch after epoch, in an order of the seed's."""
    epoch = 0
    while True:
        yield from corpus.batches(tokens, np.random.default_rng([seed, epoch]))
        epoch += 1


def train(model: LlamaForCausalLM, corpus: Corpus, budget: Budget, batch_tokens: int, seed: int) -> None:
    """Trains in place; the weights are averaged at the end."""
    device = next(model.parameters()).device
    ids = torch.from_numpy(corpus.ids).to(device)
    starts, lengths = torch.from_numpy(corpus.starts).to(device), torch.from_numpy(corpus.lengths).to(device)
    parameters = list(model.parameters())
    optimizer = make_optimizer(parameters, DECAY)
    average, log = Average(parameters), Log(budget)
    rows = endless_batches(corpus, batch_tokens, seed)
    model.train()
    for progress in budget:
        set_rate(optimizer, PEAK_RATE, progress)
        numbers = next(rows)
        chosen = torch.from_numpy(numbers).to(device)
        tokens, labels = gather(ids, starts[chosen], lengths[chosen], int(corpus.lengths[numbers].max()))
        with autocast(device):
            loss = language_loss(model, tokens, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update()
        log.add(loss=loss.detach(), gradient=norm)
    log.flush()
    average.apply()
    model.eval()


def earlier(start: Path | None) -> list[str]:
    """What a model that training goes on from was trained on before, for the card."""
    if start is None:
        return []
    record = json.loads((start / "training.json").read_text(encoding="utf-8"))
    before = f"{record['steps']} steps in {record['seconds']} s on {record['date']}"
    return [f"started from {before} with {'; '.join(record['data'])}"]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--start", type=Path, metavar="FOLDER", help="go on from this model, with its vocabulary")
    parser.add_argument("--steps", type=int, help="a fixed number of steps instead of minutes")
    parser.add_argument("--documents", type=int, default=2_500_000)
    parser.add_argument("--batch-tokens", type=int, default=65_536, help="tokens per step, padding included")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="that write the documents")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device")
    parser.add_argument("--tiny", action="store_true", help="a thin model, for tests")
    return parser.parse_args()


def main() -> None:
    """Writes the texts, trains, saves, and says how near the model is to the grammar."""
    options = parse()
    seed_everything(options.seed)
    torch.set_float32_matmul_precision("high")
    device = pick_device(options.device)
    if device.type == "cuda":
        # The same seed and number of steps then give the same weights; attention else sums in any order.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    size = TINY_LANGUAGE if options.tiny else POCKET_LANGUAGE
    started = time.monotonic()
    if options.start:
        tokenizer = Tokenizer.from_file(str(options.start / "tokenizer.json"))
    else:
        sample = texts(min(options.documents, 40_000), seed=options.seed, held_out=False)
        tokenizer = learn_language_tokenizer(contents(sample), size.vocabulary)
    corpus = write_corpus(tokenizer, options.documents, CONTEXT_TOKENS, seed=options.seed, processes=options.processes)
    written_s = time.monotonic() - started
    print(f"{options.documents} documents, {len(corpus.ids)} tokens, written in {written_s:.0f} s", flush=True)
    if options.start:
        model = LlamaForCausalLM.from_pretrained(options.start, dtype=torch.float32).to(device)
    else:
        model = build_language_model(size, tokenizer).to(device)
    budget = Budget(options.minutes, options.steps)
    train(model, corpus, budget, options.batch_tokens, options.seed)
    save_language_model(options.out, model, tokenizer)
    held_out = texts(20 if options.tiny else HELD_OUT_DOCUMENTS, seed=options.seed, held_out=True)
    nats = sum(document_nats(model.float(), tokenizer, held_out))
    entropy = -sum(log_probability(text) for text in held_out)
    tokens = sum(len(tokenizer.encode(text).ids) - 1 for text in held_out)
    figures = {"perplexity": math.exp(nats / tokens), "grammar_perplexity": math.exp(entropy / tokens)}
    print("held out: " + "  ".join(f"{name} {value:.4f} per token" for name, value in figures.items()))
    write_record(
        options.out,
        device,
        budget,
        seed=options.seed,
        data=[f"{options.documents} documents, {len(corpus.ids)} tokens of the text world", *earlier(options.start)],
        held_out=figures,
    )
    write_language_card(options.out)
    print(f"saved {options.out} after {budget.step} steps")


if __name__ == "__main__":
    main()
