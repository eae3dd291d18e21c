"""Writes the small datasets in examples/texts, the same files every time.

Three voices, richer prompts for the picture model, moods to classify, and preference pairs. Training files are about
scenes that the pocket language model may have seen, `held_out.jsonl` about scenes that no model is trained on.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

from text_world.voices.haiku import haiku
from text_world.voices.lessons import Lesson, sample_lesson
from text_world.voices.spoken import courtroom, pirate
from text_world.voices.tasks import mood_text, plain, preference, rich_prompt
from text_world.words import MOODS

TEXTS = Path(__file__).resolve().parents[2] / "examples" / "texts"
VOICES: dict[str, Callable[[Lesson, random.Random], str]] = {"pirate": pirate, "haiku": haiku, "courtroom": courtroom}
SIZES = {"train": 320, "held_out": 80}
# A voice needs more: of few examples a small model learns the answers by heart, instead of reading them from the scene.
VOICE_SIZES = {"train": 960, "held_out": 80}
MOOD_SIZES = {"train": 400, "held_out": 120}


def voice_lines(voice: str, split: str, count: int) -> list[dict[str, object]]:
    """Chat examples in a voice, with the fact that each answer holds."""
    rng = random.Random(f"{voice} {split}")
    answer = VOICES.get(voice, plain)
    return distinct(lambda: lesson_line(sample_lesson(rng, held_out=split == "held_out"), answer, rng), count)


def lesson_line(
    lesson: Lesson, answer: Callable[[Lesson, random.Random], str], rng: random.Random
) -> dict[str, object]:
    """One chat example."""
    return lesson.example(answer(lesson, rng))


def task_lines(name: str, split: str, count: int) -> list[dict[str, object]]:
    """Prompts or preference pairs."""
    rng = random.Random(f"{name} {split}")
    maker = {"prompt_expansion": rich_prompt, "preferences": preference}[name]
    return distinct(lambda: maker(rng, held_out=split == "held_out"), count)


def mood_lines(split: str, count: int) -> list[dict[str, object]]:
    """Stories with a mood as label, as many of each, in random order."""
    rng = random.Random(f"mood {split}")
    each = count // len(MOODS)
    lines = []
    for mood in MOODS:
        lines += distinct(lambda label=mood: mood_text(rng, label, held_out=split == "held_out"), each)
    rng.shuffle(lines)
    return lines


def distinct(make: Callable[[], dict[str, object]], count: int) -> list[dict[str, object]]:
    """`count` examples, none twice."""
    lines: dict[str, dict[str, object]] = {}
    while len(lines) < count:
        line = make()
        lines.setdefault(json.dumps(line, sort_keys=True), line)
    return list(lines.values())


def write(path: Path, lines: Iterable[dict[str, object]]) -> None:
    """JSON Lines in UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8", newline="\n")


def main() -> None:
    """Writes all datasets below --out, examples/texts by default."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=TEXTS)
    out = parser.parse_args().out
    for split, count in SIZES.items():
        for voice in VOICES:
            write(out / voice / f"{split}.jsonl", voice_lines(voice, split, VOICE_SIZES[split]))
        write(out / "plain" / f"{split}.jsonl", voice_lines("plain", split, count))
        for name in ("prompt_expansion", "preferences"):
            write(out / name / f"{split}.jsonl", task_lines(name, split, count))
    for split, count in MOOD_SIZES.items():
        write(out / "mood" / f"{split}.jsonl", mood_lines(split, count))
    print(f"{out}: {sum(path.stat().st_size for path in out.rglob('*.jsonl')) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
