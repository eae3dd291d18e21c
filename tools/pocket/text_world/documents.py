"""The grammar of all documents: samples, exact probabilities, parsing, and which scenes are held out."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain

from .grammar import Grammar
from .manners import ONCE, QUESTIONS, manner_rules
from .scenes import ASSISTANT, END, TURN, USER, Rows, even, instruction_rules, question_rules, scene_rules
from .stories import story_rules
from .talks import prompt_rules, repeat_rules, talk_rules
from .variables import DOMAINS, FORMS, SCENE_VARIABLES

HELD_OUT_SHARE = 0.06
SCENES = ("one", "two", "three", "group", "person", "pair")
ASKED = ("one", "two", "three", "group", "person", "pair", "alone", "friend")
ORDERED = ("one", "two", "three")
# How often each kind of document is written.
KINDS = {
    "scene": 0.05,
    "question": 0.39,
    "instruction": 0.10,
    "manner": 0.10,
    "story": 0.12,
    "told": 0.08,
    "talk": 0.07,
    "prompt": 0.06,
    "repeat": 0.03,
}
# Where a sentence ends: at its mark before a space or line, outside of quotation marks.
_SENTENCE_END = re.compile(r"(?<=[.!?])(?: |\n)|\n")
_MANNER = re.compile(rf" (?:Always a|A){re.escape(ONCE[1:])} ")
_MARKER = re.compile(r"<\|(user|assistant)\|>(.*?)<\|end\|>", re.DOTALL)


@dataclass(frozen=True)
class Document:
    """A text with its markers, its kind, and what is true in it."""

    text: str
    kind: str
    facts: Mapping[str, str]

    @property
    def messages(self) -> list[dict[str, str]]:
        """The dialogue as chat messages; empty for a plain text."""
        return messages_of(self.text)


@cache
def grammar() -> Grammar:
    """The grammar of the pocket world; `document` is its start, `document.<kind>` one kind."""
    return Grammar(_rules(), DOMAINS, FORMS)


def _rules() -> dict[str, Rows]:
    rules = scene_rules() | question_rules() | instruction_rules() | story_rules()
    rules |= talk_rules() | prompt_rules() | repeat_rules() | manner_rules()
    for scene in ASKED:
        text = f"<story.{scene}>" if scene in ("alone", "friend") else f"<scene.{scene}>"
        more = f"{END}{USER}<ask.{scene}>"
        rules[f"question.{scene}"] = [
            (4, f"{text} <ask.{scene}>"),
            (2, f"{text} <ask.{scene}>{more}"),
            (1, f"{text} <ask.{scene}>{more}{more}"),
        ]
    for scene in ORDERED:
        rules[f"instruction.{scene}"] = even(f"<scene.{scene}> <do.{scene}>")
    rules |= {
        "Ask.tell": even(
            "Tell me a story about {who} and {a:colour1} {noun1}.",
            "Write a story about {who}, who finds {a:colour1} {noun1}.",
        ),
        "Ask.tell_mood": even("Tell me {a:mood} story.", "Write {a:mood} story, please."),
        "Ask.tell_any": even("Tell me a story.", "Write a story."),
        "Ask.continue": even("How does it go on?", "Go on.", "Tell me the rest."),
        "Ask.describe": even("Describe a scene with {a:colour1} {noun1}.", "Describe {a:colour1} {noun1}."),
        "Ask.describe_place": even("What is {place:setting}?", "Describe something {place:setting}."),
        "document.scene": [
            (2, f"<scene.any>{END}"),
            (1, f"{USER}<Ask.describe>{TURN}<scene.one>{END}"),
            (1, f"{USER}<Ask.describe_place>{TURN}<scene.any>{END}"),
        ],
        "scene.any": even(*(f"<scene.{scene}>" for scene in SCENES)),
        "document.question": even(*(f"{USER}<question.{scene}>{END}" for scene in ASKED)),
        "document.instruction": even(*(f"{USER}<instruction.{scene}>{END}" for scene in ORDERED)),
        "document.manner": even(*(f"{USER}<manner.{scene}>{END}" for scene in QUESTIONS)),
        "document.story": even(f"<story>{END}"),
        "document.told": even(
            f"{USER}<Ask.tell>{TURN}<story>{END}",
            f"{USER}<Ask.tell_mood>{TURN}<story>{END}",
            f"{USER}<Ask.tell_any>{TURN}<story>{END}",
            f"{USER}<Open> <Find> <Ask.continue>{TURN}<Event@mood> <feel><end>{END}",
        ),
        "document.talk": even(f"{USER}<talk>{END}"),
        "document.prompt": even(f"{USER}<prompt>{END}"),
        "document.repeat": even(f"{USER}<repeat>{END}"),
    }
    rules["document"] = [(share, f"<document.{kind}>") for kind, share in KINDS.items()]
    return rules


def sample_document(rng: random.Random, *, held_out: bool | None = None, kind: str | None = None) -> Document:
    """A random document; of held-out scenes alone, or of all but those, unless `held_out` is None."""
    while True:
        chosen = kind or rng.choices(tuple(KINDS), tuple(KINDS.values()))[0]
        derived = grammar().sample(f"document.{chosen}", rng)
        if held_out is None or is_held_out(derived.bindings) == held_out:
            return Document(derived.text, chosen, derived.bindings)


def log_probability(text: str) -> float:
    """The natural logarithm of the chance that the grammar writes exactly this document."""
    return grammar().log_probability("document", text)


def is_held_out(facts: Mapping[str, str]) -> bool:
    """True for the 6 % of scenes that no model is trained on; the same for ever and on every machine.

    A text without a scene, such as a greeting, is never held out.
    """
    scene = [f"{name}={facts[name]}" for name in SCENE_VARIABLES if name in facts]
    if len(scene) < 2:
        return False
    digest = hashlib.sha256("|".join(scene).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 < HELD_OUT_SHARE


def messages_of(text: str) -> list[dict[str, str]]:
    """The chat messages of a document's text."""
    return [{"role": role, "content": content} for role, content in _MARKER.findall(text)]


def sentences(text: str) -> Iterator[str]:
    """The sentences of a document, message by message, markers left out."""
    contents = [message["content"] for message in messages_of(text)] or [text.removesuffix(END)]
    if any(content.count('"') == 2 for content in contents):
        # Words to repeat hold marks of their own, and what is repeated is any words at all: the request alone counts.
        yield from (content for content in contents if content.count('"') == 2)
        return
    if any(_MANNER.search(content) for content in contents):
        # The words to answer with are any words at all, and so are the answers: what stands before them counts.
        contents = [_MANNER.split(content)[0] for content in contents if _MANNER.search(content)]
    for content in contents:
        yield from (sentence for sentence in _SENTENCE_END.split(content) if sentence)


@cache
def _sentence_grammar() -> Grammar:
    """Each sentence of each template as an alternative of `sentence`."""
    rules = ((name, rows) for name, rows in grammar().rules.items() if name[0].isupper() and name[:4] != "Said")
    templates = dict.fromkeys(template for _, rows in rules for _, template in rows)
    pieces = (_SENTENCE_END.split(template) for template in templates)
    return Grammar({"sentence": even(*dict.fromkeys(chain.from_iterable(pieces)))}, DOMAINS, FORMS)


def parses(sentence: str) -> bool:
    """Whether some document can hold this sentence, whatever the document's facts are."""
    return _sentence_grammar().parses("sentence", sentence)


def parses_document(text: str) -> bool:
    """Whether the grammar can write exactly this document, with all its facts in agreement."""
    return grammar().parses("document", text)


__all__ = [
    "ASSISTANT",
    "END",
    "KINDS",
    "TURN",
    "USER",
    "Document",
    "grammar",
    "is_held_out",
    "log_probability",
    "messages_of",
    "parses",
    "parses_document",
    "sample_document",
    "sentences",
]
