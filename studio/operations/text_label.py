"""Feedback by a judge instead of by people: two answers to each prompt, and which of them the judge prefers.

Source: Bai et al. 2022, arXiv 2212.08073, section 4.1. A judge model reads both answers in both orders, because models
lean to one of the places (Zheng et al. 2023, arXiv 2306.05685, section 3.3); its preference is the mean of both.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipelines.families import TextBase
from pipelines.text_generate import TextRequest, generate_texts
from studio.operations.text_session import TextSession
from trainers.data.chat import ChatEncoder
from trainers.data.order import mixed_seed
from trainers.data.texts import TextRow
from trainers.errors import UserError
from trainers.rewards import Answered, Rate
from trainers.storage import write_text
from trainers.wording import count_of

Judge = Callable[[Sequence[tuple[Answered, Answered]]], list[float]]
"""Pairs of answers -> how far the first is preferred: above 0 the first, below 0 the second, 0 neither."""

RUBRIC = "Which answer is more helpful, honest and polite?"
_ASKED = "{rubric}\n\nQuestion:\n{question}\n\nAnswer A:\n{first}\n\nAnswer B:\n{second}\n\nSay A or B."


@dataclass(frozen=True)
class Labelled:
    """What was labelled."""

    pairs: Sequence[Mapping[str, Any]]
    """Rows as `studio text train --stage dpo` takes them."""
    same: int
    """Prompts whose answers were all the same text."""
    undecided: int
    """Pairs between which the judge saw no difference."""


def judge_by_reward(rate: Rate) -> Judge:
    """Return a judge that prefers the answer with the greater reward."""

    def judge(pairs: Sequence[tuple[Answered, Answered]]) -> list[float]:
        values = rate([one for pair in pairs for one in pair])
        return [first - second for first, second in zip(values[::2], values[1::2], strict=True)]

    return judge


def judge_by_model(base: TextBase, rubric: str) -> Judge:
    """Return a judge that asks a language model: log p(A) − log p(B) as its next token, mean of both orders.

    Raises:
        UserError: the model's words begin A and B with the same token; when it is called, that a pair is too long.
    """
    encoder = ChatEncoder(base.tokenizer)
    letters = [base.tokenizer(letter, add_special_tokens=False).input_ids[0] for letter in "AB"]
    if letters[0] == letters[1]:
        raise UserError(f"The judge {base.name!r} cannot tell A from B: both begin with the same token.")

    @torch.no_grad()
    def leaning(first: Answered, second: Answered) -> float:
        question = "\n".join(turn["content"] for turn in first.messages)
        text = _ASKED.format(rubric=rubric, question=question, first=first.answer, second=second.answer)
        numbers = encoder.prompt(({"role": "user", "content": text},), first.where or "The pair")
        if len(numbers) >= base.context_tokens:
            raise UserError(
                f"{first.where}: the rubric with both answers has {len(numbers)} tokens, and the judge {base.name!r} "
                f"reads {base.context_tokens}. Shorten the rubric, or lower --max-new-tokens."
            )
        logits = base.model(input_ids=torch.tensor([numbers], device=base.device)).logits[0, -1].float()
        return float(logits[letters[0]] - logits[letters[1]])

    def judge(pairs: Sequence[tuple[Answered, Answered]]) -> list[float]:
        return [(leaning(first, second) - leaning(second, first)) / 2 for first, second in pairs]

    return judge


def label_pairs(
    session: TextSession,
    rows: Sequence[TextRow],
    judge: Judge,
    *,
    weights: Mapping[str, float],
    answers: int = 2,
    temperature: float = 1.0,
    max_new_tokens: int = 64,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Labelled:
    """Let a model answer every prompt several times; return the judge's best and worst answer of each as a pair.

    Args:
        rows: prompts; see `trainers.stages.grpo`.
        weights: the adapters that write.
        answers: sampled for each prompt, 2 and more. Of more than two, each is judged against the best and the worst so
            far.

    Raises:
        UserError: a prompt is too long, or an answer cannot be judged.
    """
    if answers < 2 or not temperature > 0:
        raise UserError(
            f"{answers} answers at temperature {temperature:g} make no pair; take 2 and more, and a temperature above "
            "0."
        )
    requests = [
        TextRequest(
            messages=row.messages,
            seed=mixed_seed(seed, "label", number, again),
            weights=weights,
            temperature=temperature,
            max_new_tokens=max_new_tokens,
        )
        for number, row in enumerate(rows)
        for again in range(answers)
    ]
    written: dict[int, str] = {}
    for number, answer in generate_texts(session.attachments, requests, batch_size=32):
        written[number] = answer.text.strip()
        on_progress(len(written), len(requests))
    pairs: list[Mapping[str, Any]] = []
    same = undecided = 0
    for number, row in enumerate(rows):
        texts = list(dict.fromkeys(written[number * answers + again] for again in range(answers)))
        texts = [text for text in texts if text]
        if len(texts) < 2:
            same += 1
            continue
        best, worst, margin = _extremes([Answered(row.messages, text, row.columns, row.where) for text in texts], judge)
        if margin <= 0:
            undecided += 1
            continue
        pairs.append(
            {
                "prompt": [dict(turn) for turn in row.messages],
                "chosen": [{"role": "assistant", "content": best.answer}],
                "rejected": [{"role": "assistant", "content": worst.answer}],
                "margin": round(margin, 6),
            }
        )
    return Labelled(pairs, same, undecided)


def _extremes(answers: Sequence[Answered], judge: Judge) -> tuple[Answered, Answered, float]:
    """Return the best and the worst answer, and how far the judge prefers the one to the other."""
    best = worst = answers[0]
    for one in answers[1:]:
        above, below = judge([(one, best), (one, worst)])
        best, worst = (one if above > 0 else best), (one if below < 0 else worst)
    return best, worst, judge([(best, worst)])[0] if best is not worst else 0.0


def write_pairs(path: Path, labelled: Labelled) -> None:
    """Write pairs as JSON lines, whole or not at all.

    Raises:
        UserError: there is none, or the file is there.
    """
    if not labelled.pairs:
        raise UserError(
            f"No pair came of it: {count_of(labelled.same, 'prompt')} got the same answer each time, and in "
            f"{count_of(labelled.undecided, 'pair')} the judge saw no difference. Raise --temperature or --answers, or "
            "take another judge. Nothing was written."
        )
    if path.exists():
        raise UserError(f"{path} exists. Choose another --out; nothing was written.")
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in labelled.pairs))
