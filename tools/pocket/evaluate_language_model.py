"""Measures the pocket language model on held-out scenes, beside the grammar that wrote its texts.

    python tools/pocket/evaluate_language_model.py --model pipelines/pocket/language_model --json metrics.json

prints perplexities, the share of sampled sentences and documents that parse, of questions that are answered right and
of prompts that are valid and true to the wish, and a few samples. With `--card` it also writes the model's card anew.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from text_world import log_probability, parses, parses_document, sample_document, sentences
from text_world.documents import ASSISTANT, END, USER, messages_of
from text_world.facts import prompt_is_valid
from training.language_card import write_language_card
from training.language_model import document_nats
from training.loop import pick_device, seed_everything
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

NEW_TOKENS = 160


class Writer:
    """The model with its tokenizer; continues texts in batches."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(folder)
        self.tokenizer.padding_side = "left"
        self.model: LlamaForCausalLM = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.model.to(device).eval()

    @torch.no_grad()
    def write(self, beginnings: Sequence[str], *, sample: bool, batch: int = 100) -> list[str]:
        """What the model adds to each text, up to and with its end marker; at temperature 1 and from all tokens."""
        written = []
        for start in range(0, len(beginnings), batch):
            rows = self.tokenizer(list(beginnings[start : start + batch]), return_tensors="pt", padding=True)
            rows = rows.to(self.model.device)
            chance = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
            greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
            made = self.model.generate(
                input_ids=rows["input_ids"],
                attention_mask=rows["attention_mask"],
                max_new_tokens=NEW_TOKENS,
                **(chance if sample else greedy),
            )
            texts = self.tokenizer.batch_decode(made[:, rows["input_ids"].shape[1] :], skip_special_tokens=False)
            written += [_until_end(text) for text in texts]
        return written


def _until_end(text: str) -> str:
    before, end, _ = text.partition(END)
    return before + end


def perplexities(writer: Writer, texts: list[str], spread: Callable[..., list[Any]]) -> dict[str, Any]:
    """Of the model and of the grammar on the same documents: per token of the model's vocabulary, and per character."""
    tokenizer = writer.tokenizer.backend_tokenizer
    tokens = sum(len(tokenizer.encode(text).ids) - 1 for text in texts)
    characters = sum(len(text) for text in texts)
    totals = {
        "model": sum(document_nats(writer.model, tokenizer, texts)),
        "grammar": -sum(spread(log_probability, texts)),
    }
    return {
        name: {
            "perplexity_per_token": math.exp(nats / tokens),
            "nats_per_token": nats / tokens,
            "nats_per_character": nats / characters,
            "perplexity_per_character": math.exp(nats / characters),
        }
        for name, nats in totals.items()
    }


def sampled(writer: Writer, count: int, spread: Callable[..., list[Any]]) -> dict[str, Any]:
    """Stories from nothing and answers to asked-for stories: how many sentences and whole documents parse."""
    asked = [f"{USER}Tell me a story.{END}{ASSISTANT}", f"{USER}Write a sad story, please.{END}{ASSISTANT}"]
    beginnings = [""] * count + [asked[number % 2] for number in range(count)]
    texts = [start + made for start, made in zip(beginnings, writer.write(beginnings, sample=True), strict=True)]
    # A dialogue that the model began itself ends after the user's words: let it answer them.
    questions = [number for number, text in enumerate(texts) if text.startswith(USER) and ASSISTANT not in text]
    answers = writer.write([texts[number] + ASSISTANT for number in questions], sample=True)
    for number, answer in zip(questions, answers, strict=True):
        texts[number] += ASSISTANT + answer
    found = [sentence for text in texts for sentence in sentences(text)]
    right = spread(parses, found)
    wrong = [sentence for sentence, good in zip(found, right, strict=True) if not good]
    return {
        "sampled_documents": len(texts),
        "sampled_sentences": len(found),
        "sentences_parse": sum(right) / max(1, len(right)),
        "documents_parse": sum(spread(parses_document, texts)) / len(texts),
        "sentences_that_do_not_parse": wrong[:10],
        "samples": texts[:4] + texts[-4:],
    }


def questions(writer: Writer, count: int, rng: random.Random, spread: Callable[..., list[Any]]) -> dict[str, Any]:
    """Questions about held-out scenes, greedily answered: right is what the grammar could have answered."""
    asked = [sample_document(rng, held_out=True, kind="question").text for _ in range(count)]
    beginnings = [text[: text.index(ASSISTANT) + len(ASSISTANT)] for text in asked]
    texts = [start + made for start, made in zip(beginnings, writer.write(beginnings, sample=False), strict=True)]
    right = spread(parses_document, texts)
    wrong = [messages_of(text) for text, good in zip(texts, right, strict=True) if not good]
    return {"questions": count, "answers_right": sum(right) / count, "wrong_answers": wrong[:5]}


def prompts(writer: Writer, count: int, rng: random.Random) -> dict[str, Any]:
    """Wishes for pictures of held-out scenes: valid prompts that keep what was wished for."""
    asked = [sample_document(rng, held_out=True, kind="prompt") for _ in range(count)]
    beginnings = [wish.text[: wish.text.index(ASSISTANT) + len(ASSISTANT)] for wish in asked]
    made = writer.write(beginnings, sample=True)
    right = []
    for wish, prompt in zip(asked, made, strict=True):
        # The colour is the model's choice where the wish names none.
        said = re.findall(r"\w+", wish.messages[0]["content"])
        named = {name: value for name, value in wish.facts.items() if name != "colour1" or value in said}
        right.append(prompt_is_valid(named, prompt.removesuffix(END)))
    pairs = [(wish.messages[0]["content"], prompt.removesuffix(END)) for wish, prompt in zip(asked, made, strict=True)]
    return {"prompts": count, "prompts_valid": sum(right) / count, "prompt_samples": pairs[:5]}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=1000, help="held-out documents for the perplexities")
    parser.add_argument("--samples", type=int, default=300, help="of each kind: stories, questions, prompts")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="that parse")
    parser.add_argument("--device")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--card", action="store_true", help="write metrics.json and the card into the model's folder")
    return parser.parse_args()


def measure(options: argparse.Namespace, spread: Callable[..., list[Any]]) -> dict[str, Any]:
    """All figures."""
    writer = Writer(options.model, pick_device(options.device))
    rng = random.Random(f"evaluation {options.seed}")
    texts = [sample_document(rng, held_out=True).text for _ in range(options.documents)]
    figures: dict[str, Any] = {"documents": len(texts), **perplexities(writer, texts, spread)}
    figures |= sampled(writer, options.samples, spread)
    figures |= questions(writer, options.samples, rng, spread)
    return figures | prompts(writer, options.samples, rng)


def main() -> None:
    """Measures and prints."""
    options = parse()
    seed_everything(options.seed)
    if options.processes > 1:
        with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
            figures = measure(options, lambda function, items: pool.map(function, items, chunksize=8))
    else:
        figures = measure(options, lambda function, items: [function(item) for item in items])
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.card:
        (options.model / "metrics.json").write_text(text + "\n", encoding="utf-8")
        write_language_card(options.model)


if __name__ == "__main__":
    main()
