"""What other programs give a meaning in a prompt and this one does not: it would be read as letters.

Tags that load adapters, weights, prompts that change while sampling, wildcards and learned words by file name, of
AUTOMATIC1111's web UI, ComfyUI, InvokeAI (compel), NovelAI and sd-dynamic-prompts. Plain brackets in prose, ``a boat
(small)``, and learned words, ``<ink>``, mean the same everywhere. Without torch.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trainers.wording import LIMIT_LISTED, count_of, listed

_SHOWN = 5
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "adapter": re.compile(r"<(?:lora|lyco|locon|loha|lokr|dora)\s*:[^<>]*>", re.IGNORECASE),
    "hypernetwork": re.compile(r"<hypernet(?:work)?\s*:[^<>]*>", re.IGNORECASE),
    "tag": re.compile(r"<\w+(?:\[[^\]]*\])?:[^<>]*>"),
    "embedding": re.compile(r"\bembedding:[^\s,:()<>\[\]{}]+", re.IGNORECASE),
    "wildcard": re.compile(r"__[^\s_,][^\s,]*?__|\$\{[^{}]*\}|\{[^{}\"]*\|[^{}\"]*\}"),
    "change": re.compile(
        rf"\[[^\[\]]*\|[^\[\]]*\]|\[[^\[\]]*:\s*{_NUMBER}\s*\]|[\"')]\s*\.(?:and|blend|swap)\(", re.IGNORECASE
    ),
    "weight": re.compile(
        rf"\((?:[^()\\]|\\.)*[^\d\s()](?::{_NUMBER}|\s*:\s*\d*\.\d+)\s*\)"  # (sea:1.3), not (at 10:30)
        r"|\(\s*\([^()]*\)\s*\)"  # ((sea))
        r"|\[[^\[\]]*\]"  # [sea]
        r"|\{[^{}|\"]*\}"  # NovelAI's {sea}
        rf"|(?<![\w.]){_NUMBER}::[^:]+::"  # and 1.3::sea::
        r"|[^\W\d_]{3,}\+\++(?!\w)"  # compel's sea++
        rf"|(?<=\))(?:\d*\.\d+|\++(?!\w)|-+(?=[\s,]|$))"  # and (sea)1.3, (sea)-
    ),
    "keyword": re.compile(r"(?<!\w)(?:BREAK|AND|AND_PERP|AND_SALT|ADDBASE|ADDCOMM|ADDROW|ADDCOL)(?!\w)"),
    "escape": re.compile(r"\\[()\[\]{}]"),
}
"""Kind -> what stands for it; what an earlier kind has taken is hidden from the later ones."""
SENTENCES: Mapping[str, str] = {
    "adapter": "{found} is read as letters: tags load no adapter here. Take it out, and give --adapter NAME:0.8.",
    "hypernetwork": "{found} is read as letters: hypernetworks are not known here. Take it out.",
    "tag": "{found} is read as letters: only learned words, such as <ink>, stand in such brackets here. Take it out.",
    "embedding": "{found} is read as letters. A learned word is an adapter here: studio import FILE, then give "
    "--adapter NAME:1 and write its word, such as <ink>.",
    "wildcard": "{found} is read as letters: nothing is filled in. Write the word itself, or one prompt for each.",
    "change": "{found} is read as letters: a prompt is the same at every step here. Write one of its texts.",
    "weight": "{found} is read with its brackets and numbers: words have no weights here. Write the words alone.",
    "keyword": "{found} is read as a word: prompts are not joined here. Write one prompt, with commas.",
    "escape": "{found} is read with its backslash: brackets need none here. Write the bracket alone.",
}


@dataclass(frozen=True)
class PromptNote:
    """One kind of what is not understood."""

    kind: str
    """A key of `SENTENCES`."""
    found: tuple[str, ...]
    """What stands in the prompt, each once."""

    @property
    def shown(self) -> str:
        """The first few of `found`."""
        return listed(self.found, _SHOWN)


def prompt_notes(prompt: str) -> list[PromptNote]:
    """Return what a prompt holds that is not understood, by kind; nothing for prose."""
    rest, notes = prompt, []
    for kind, pattern in _PATTERNS.items():
        places = [found.span() for found in pattern.finditer(rest) if kind != "keyword" or _joins(rest, *found.span())]
        if places:
            notes.append(PromptNote(kind, tuple(dict.fromkeys(prompt[start:end].strip() for start, end in places))))
        for start, end in places:
            rest = f"{rest[:start]}{'x' * (end - start)}{rest[end:]}"
    return notes


def note_sentences(prompts: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each note on some texts.

    Args:
        prompts: what a user calls each text, such as ``negative prompt``, with the text.
    """
    for what, prompt in prompts.items():
        for note in prompt_notes(prompt):
            yield f"Note: in the {what}, {SENTENCES[note.kind].format(found=note.shown)}"


def caption_sentences(captions: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each kind of what captions hold that is no words, with its files.

    Args:
        captions: file -> caption.
    """
    by_kind: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, caption in captions.items():
        for note in prompt_notes(caption):
            by_kind.setdefault(note.kind, {})[name] = note.found
    for kind, files in by_kind.items():
        found = list(dict.fromkeys(text for texts in files.values() for text in texts))
        said = SENTENCES[kind].format(found=listed(found, _SHOWN))
        yield f"Note: in {count_of(len(files), 'caption')} ({listed(files, LIMIT_LISTED)}), {said}"


def _joins(text: str, start: int, end: int) -> bool:
    """Return whether a keyword stands among words that are not all in capitals, as a sign in a picture may be."""
    before, after = text[:start].split()[-1:], text[end:].split()[:1]
    return not any(word.isupper() and not _PATTERNS["keyword"].search(word) for word in (*before, *after))
