"""What is learned under odd but real kinds of chat templates and tokenizers: exactly what the assistant says, ended.

The templates are short ones of our own, each with one habit of a family of models.
"""

import copy
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from pipelines.families import TextBase
from pipelines.text_pieces import Writer
from pipelines.text_request import TextRequest
from trainers.data.chat import ChatEncoder, encode_rows
from trainers.data.text_forms import TextRow
from trainers.data.token_batches import IGNORED, pad_right
from trainers.data.turns import Message, TurnsRead, read_turns
from trainers.errors import UserError

SPECIAL = ("<|im_start|>", "<|im_end|>", "<end_of_turn>", "<start_of_turn>", "<s>", "</s>")
_EACH = "{% for m in messages %}"
_ASKS = "{% endfor %}{% if add_generation_prompt %}"
_CHATML = "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
TEMPLATES = {
    "a line feed behind the end": _EACH + _CHATML + _ASKS + "{{ '<|im_start|>assistant\n' }}{% endif %}",
    "stripped, another name for the assistant": (
        _EACH + "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim "
        "+ '<end_of_turn>\n' }}" + _ASKS + "{{ '<start_of_turn>model\n' }}{% endif %}"
    ),
    "no generation prompt": (
        "{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}"
        "{% endif %}{% for m in rest %}{% if m.role == 'user' %}{{ '<s>[INST] ' + (messages[0].content + '\n' if "
        "loop.first and rest != messages else '') + m.content.strip() + ' [/INST]' }}{% else %}"
        "{{ ' ' + m.content.strip() + ' </s>' }}{% endif %}{% endfor %}"
    ),
    "thoughts before the last answer alone": (
        _EACH + "{% set said = m.content.split('</think>')[-1].lstrip('\n') %}{% if m.role == 'assistant' %}"
        "{{ '<|im_start|>assistant\n' }}{% if loop.last %}{{ '<think>\n' + (m.content.split('</think>')[0]"
        ".split('<think>')[-1].strip('\n') if '</think>' in m.content else '') + '\n</think>\n\n' }}{% endif %}"
        "{{ said + '<|im_end|>\n' }}{% else %}" + _CHATML + "{% endif %}" + _ASKS
        + "{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "thoughts begun by the generation prompt": (
        _EACH + "{{ ('<|assistant|>' if m.role == 'assistant' else '<|user|>') + m.content }}"
        "{{ eos_token if m.role == 'assistant' else '' }}" + _ASKS + "{{ '<|assistant|><think>\n' }}{% endif %}"
    ),
    "an end behind the last turn alone": (
        _EACH + "{{ m.role + ': ' + m.content + (eos_token if loop.last else '\n') }}" + _ASKS
        + "{{ 'assistant: ' }}{% endif %}"
    ),
    "no special token": _EACH + "{{ m.role + ': ' + m.content + '\n' }}" + _ASKS + "{{ 'assistant:' }}{% endif %}",
    "no end": _EACH + "{{ '<|' + m.role + '|>\n' + m.content }}" + _ASKS + "{{ '<|assistant|>\n' }}{% endif %}",
    "no system": (
        "{% for m in messages if m.role != 'system' %}" + _CHATML + _ASKS + "{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
}  # fmt: skip
LEARNED = {
    "a line feed behind the end": ["Ahoy<|im_end|>", " a <|im_end|>"],
    "stripped, another name for the assistant": ["Ahoy<end_of_turn>", "a<end_of_turn>"],
    "no generation prompt": [" Ahoy </s>", " a </s>"],
    "thoughts before the last answer alone": ["Ahoy<|im_end|>", "<think>\n\n</think>\n\n a <|im_end|>"],
    "thoughts begun by the generation prompt": ["Ahoy<|end|>", " a <|end|>"],
    "an end behind the last turn alone": ["Ahoy\n", " a <|end|>"],
    "no special token": [" Ahoy\n", "  a \n"],
    "no end": ["Ahoy", " a "],
    "no system": ["Ahoy<|im_end|>", " a <|im_end|>"],
}


def chat(*said: tuple[str, str]) -> tuple[Message, ...]:
    return tuple({"role": role, "content": text} for role, text in said)


# The words of the second answer stand in the template's own words, too.
TWO = chat(("system", "Be brief."), ("user", "Hi"), ("assistant", "Ahoy"), ("user", "a"), ("assistant", " a "))


@pytest.fixture
def tokenizer(shared_text_base: TextBase) -> Any:
    """A byte-level tokenizer with the special tokens of several families, to be given any template."""
    own = copy.deepcopy(shared_text_base.tokenizer)
    own.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    return own


def learned(tokenizer: Any, row: TextRow, **options: Any) -> list[str]:
    one = ChatEncoder(tokenizer, **options).encode(row)
    runs = groupby(zip(one.numbers, one.trained, strict=True), key=lambda pair: pair[1])
    return [tokenizer.decode([number for number, _ in run]) for trained, run in runs if trained]


@pytest.mark.parametrize("habit", TEMPLATES)
def test_exactly_the_answers_with_their_ends_are_learned(habit: str, tokenizer: Any) -> None:
    tokenizer.chat_template = TEMPLATES[habit]
    assert learned(tokenizer, TextRow("x", messages=TWO)) == LEARNED[habit]
    assert learned(tokenizer, TextRow("x", messages=TWO, not_learned=frozenset({2}))) == LEARNED[habit][1:]
    whole = ChatEncoder(tokenizer).chat(TWO)
    assert list(whole.numbers) == tokenizer.apply_chat_template([dict(turn) for turn in TWO], return_dict=False)
    assert whole.not_shown == (("turn 1 (system)",) if habit == "no system" else ())


def test_a_chat_that_the_assistant_begins_is_told_apart(tokenizer: Any) -> None:
    rows = TextRow("x", messages=TWO[2:])
    for habit in set(TEMPLATES) - {"no generation prompt"}:
        tokenizer.chat_template = TEMPLATES[habit]
        assert [text.strip() for text in learned(tokenizer, rows)] == [text.strip() for text in LEARNED[habit]]


def test_earlier_thoughts_that_the_template_leaves_out_are_told(tokenizer: Any) -> None:
    tokenizer.chat_template = TEMPLATES["thoughts before the last answer alone"]
    messages = chat(
        ("user", "Hi"),
        ("assistant", "<think>\none\n</think>\n\nAhoy"),
        ("user", "b"),
        ("assistant", "<think>\ntwo\n</think>\n\nc"),
    )
    row = TextRow("x line 1", messages=messages)
    assert learned(tokenizer, row) == ["Ahoy<|im_end|>", "<think>\ntwo\n</think>\n\nc<|im_end|>"]
    options: dict[str, Any] = {"max_length": 256, "cut_long": False, "context_tokens": 256}
    assert encode_rows([row], ChatEncoder(tokenizer).encode, **options).notes(256) == [
        "Passed over: turns that the base's chat template leaves out or writes otherwise: 1 "
        "(x line 1: turn 2 (assistant))."
    ]


def test_a_refused_system_turn_is_one_sentence_for_all_rows(tokenizer: Any) -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    tokenizer.chat_template = refuses + TEMPLATES["a line feed behind the end"]
    rows = [TextRow(f"x line {number}", messages=TWO) for number in (1, 2)]
    options: dict[str, Any] = {"max_length": 256, "cut_long": False, "context_tokens": 256}
    with pytest.raises(UserError) as caught:
        encode_rows(rows, ChatEncoder(tokenizer).encode, **options)
    headline, first, second = str(caught.value).splitlines()
    assert headline == "2 of 2 rows cannot be given to this base:"
    assert first.endswith("System role not supported. Put what the system says before the user's first words")
    assert "x line 2" in second


def test_a_template_that_writes_half_a_character_is_told(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ '\ud83d' + messages[0].content }}"
    with pytest.raises(UserError, match=r"x line 1: what the base's chat template makes of it: not plain text"):
        ChatEncoder(tokenizer).chat(TWO, "x line 1")


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}
CALLING = [
    {"role": "user", "content": "weather?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": '{"town": "Köln"}'}}],
    },
    {"role": "tool", "content": "sun"},
    {"role": "assistant", "content": "Sunny"},
]
_TOOLS = "{% if tools %}{{ (tools | tojson) + '\n' }}{% endif %}"
_GIVES = "{% elif m.role == 'tool' %}{{ '<|im_start|>tool\n' + m.content + '<|im_end|>\n' }}{% else %}"
VALUES = (
    _TOOLS + _EACH + "{% if m.tool_calls %}{{ '<|im_start|>assistant\n' + m.content }}{% for c in m.tool_calls %}"
    "{{ c.function.name + ' ' + (c.function.arguments | tojson) }}{% endfor %}{{ '<|im_end|>\n' }}"
    + _GIVES + _CHATML + "{% endif %}" + _ASKS + "{{ '<|im_start|>assistant\n' }}{% endif %}"
)  # fmt: skip
AS_TEXT = (
    _EACH + "{% if m.tool_calls and m.content is not defined %}{{ '<|im_start|>assistant\n' }}"
    "{% for c in m.tool_calls %}{{ c.function.name + ' ' + c.function.arguments }}{% endfor %}{{ '<|im_end|>\n' }}"
    + _GIVES + _CHATML + "{% endif %}" + _ASKS + "{{ '<|im_start|>assistant\n' }}{% endif %}"
)  # fmt: skip


def test_tool_calls_are_given_in_the_spelling_that_the_template_knows(tokenizer: Any) -> None:
    messages = read_turns(CALLING, "x line 1", TurnsRead()).messages
    row = TextRow("x line 1", messages=messages)
    for template in (VALUES, AS_TEXT):
        tokenizer.chat_template = template
        assert learned(tokenizer, row) == ['weather {"town": "Köln"}<|im_end|>', "Sunny<|im_end|>"]
    tokenizer.chat_template = VALUES
    with_tools = TextRow("x line 1", messages=messages, tools=(TOOL,))
    assert learned(tokenizer, with_tools) == learned(tokenizer, row)
    shown = tokenizer.decode(ChatEncoder(tokenizer).beginning(TextRow("x", messages=messages[:1], tools=(TOOL,))))
    assert shown.startswith('[{"type": "function"')


@pytest.mark.parametrize(
    ("template", "row", "said"),
    [
        (TEMPLATES["no end"], TextRow("x line 1", messages=(), tools=()), "leaves out the call of weather"),
        (TEMPLATES["a line feed behind the end"], TextRow("", tools=(TOOL,)), "call of weather, the tool weather"),
        (AS_TEXT, TextRow("", tools=(TOOL,)), "leaves out the tool weather. Take a base whose chat template knows"),
    ],
)
def test_a_template_without_tools_is_told_and_not_given_half(
    template: str, row: TextRow, said: str, tokenizer: Any
) -> None:
    tokenizer.chat_template = template
    messages = read_turns(CALLING, "x line 1", TurnsRead()).messages
    with pytest.raises(UserError, match=said):
        ChatEncoder(tokenizer).encode(TextRow("x line 1", messages=messages, tools=row.tools))


def made_tokenizer(*, bytes_fall_back: bool) -> Any:
    """Return a tokenizer that begins and ends every text itself, and pads with its end, as many that are published."""
    special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    if bytes_fall_back:
        unknown = "<unk>"
        words = [unknown, *special, *(f"<0x{byte:02X}>" for byte in range(256)), *"▁abehilnorstuyAHw:\n", "▁A", "▁H"]
        vocabulary = {word: number for number, word in enumerate(words)}
        made = Tokenizer(models.BPE(vocabulary, [("▁", "A"), ("▁", "H")], byte_fallback=True, unk_token=unknown))
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        plain = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        made.decoder = decoders.Sequence(plain)
    else:
        words = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ah", "oy", "ĠA"]
        vocabulary = {word: number for number, word in enumerate(words)}
        made = Tokenizer(models.BPE(vocabulary, [("A", "h"), ("o", "y"), ("Ġ", "A")]))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(word, special=True) for word in special])
    ends = [("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    names = dict.fromkeys(("eos_token", "pad_token"), special[1])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=special[0], **names)


@pytest.mark.parametrize("bytes_fall_back", [True, False])
def test_a_tokenizer_that_begins_and_ends_texts_itself_does_it_once(bytes_fall_back: bool) -> None:
    own = made_tokenizer(bytes_fall_back=bytes_fall_back)
    own.chat_template = "{{ bos_token }}" + TEMPLATES["a line feed behind the end"]
    messages = TWO[1:3]
    assert learned(own, TextRow("x", messages=messages)) == ["Ahoy<|im_end|>"]
    numbers = ChatEncoder(own).chat(messages).numbers
    assert (numbers.count(own.bos_token_id), numbers.count(own.eos_token_id)) == (1, 0)
    for text in ("Ahoy", "<s>Ahoy", "<s>Ahoy</s>"):
        row = TextRow("x", text=text)
        begin, *within, end = ChatEncoder(own).encode(row).numbers
        assert (begin, end) == (own.bos_token_id, own.eos_token_id)
        assert within == own("Ahoy", add_special_tokens=False).input_ids
        assert own.eos_token_id not in ChatEncoder(own).beginning(row)  # else a sample would be over before it begins


@pytest.mark.parametrize("bytes_fall_back", [True, False])
def test_an_end_that_is_the_padding_too_is_learned_and_padding_is_not(bytes_fall_back: bool) -> None:
    own = made_tokenizer(bytes_fall_back=bytes_fall_back)
    own.chat_template = TEMPLATES["a line feed behind the end"].replace("<|im_end|>", "</s>")
    rows = [ChatEncoder(own).chat(TWO[1:]), ChatEncoder(own).chat(TWO[1:3])]
    batch = pad_right(rows, own.pad_token_id)
    assert (batch.labels == own.eos_token_id).sum(1).tolist() == [2, 1]
    assert batch.mask.sum(1).tolist() == [len(row.numbers) for row in rows]
    assert set(batch.labels[batch.mask == 0].tolist()) == {IGNORED}


@pytest.mark.parametrize("bytes_fall_back", [True, False])
@pytest.mark.parametrize("text", ["Ahoy 你好 🏴‍☠️ c.ⱯI �x", "  two  spaces ", "é�", "A H"])
def test_a_stream_holds_no_half_character_and_loses_no_space(
    text: str, bytes_fall_back: bool, shared_text_base: TextBase
) -> None:
    own = made_tokenizer(bytes_fall_back=bytes_fall_back)
    numbers: Sequence[int] = own(text, add_special_tokens=False).input_ids
    base = copy.copy(shared_text_base)
    base.tokenizer, base.stop_numbers = own, (own.eos_token_id,)
    writer = Writer(base, TextRequest("x", max_new_tokens=999))
    pieces = [piece.text for number in (*numbers, None) for piece in writer.take(number)]
    assert "".join(pieces) == own.decode(numbers, clean_up_tokenization_spaces=False)
    assert sum(piece.count("�") for piece in pieces) == text.count("�")
