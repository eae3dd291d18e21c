"""Writing texts: streaming, batches, caches, beams and weights all give what the slow way gives."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.attach import Attachments, attached
from pipelines.families import TextBase
from pipelines.live import LiveRecipes
from pipelines.perplexity import perplexity
from pipelines.recipe import plain_recipe
from pipelines.text_decode import draw
from pipelines.text_generate import TextRequest, generate_texts, stream_text
from pipelines.text_pieces import Writer
from tests.support import random_adapter
from trainers.data.texts import TextRow
from trainers.errors import UserError

PROMPTS = ("hi", "a longer question, with more tokens?", "x")
LENGTH = 8


def adapter(base: TextBase, name: str, method: str = "lora", seed: int = 0, **settings: Any) -> Any:
    size = 1.0 if method != "lora" else 0.3
    return random_adapter(base, name, parts=("language_model",), method=method, seed=seed, size=size, **settings)


def slow(attachments: Attachments, prompt: str, weights: dict[str, float], count: int = LENGTH) -> list[int]:
    """Greedy tokens, each from the whole text anew, one prompt at a time."""
    base: Any = attachments.base
    numbers = list(
        base.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=True, return_dict=False
        )
    )
    start = len(numbers)
    attachments.set_weights(weights)
    with torch.no_grad():
        for _ in range(count):
            logits = base.model(input_ids=torch.tensor([numbers]), use_cache=False).logits
            numbers.append(int(logits[0, -1].argmax()))
            if numbers[-1] in base.stop_numbers:
                break
    attachments.set_weights({})
    return numbers[start:]


def text_of(base: TextBase, numbers: list[int]) -> str:
    return str(base.tokenizer.decode(numbers, skip_special_tokens=True))


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "p_tuning", "p_tuning_v2", "mam", "dora"])
def test_cache_left_padding_and_streaming_give_the_tokens_of_the_slow_way(text_base: TextBase, method: str) -> None:
    with attached(text_base, {"a": adapter(text_base, "a", method)}) as attachments:
        weights = {"a": 0.8}
        expected = [text_of(text_base, slow(attachments, prompt, weights)) for prompt in PROMPTS]
        plain = [text_of(text_base, slow(attachments, prompt, {})) for prompt in PROMPTS]
        requests = [TextRequest(prompt, weights=weights, max_new_tokens=LENGTH) for prompt in PROMPTS]
        batched = dict(generate_texts(attachments, requests))
        streamed = ["".join(piece.text for piece in stream_text(attachments, request)) for request in requests]
    assert [batched[number].text for number in range(3)] == streamed == expected
    assert expected != plain


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "p_tuning_v2"])
def test_beams_are_those_without_a_cache(text_base: TextBase, method: str) -> None:
    with attached(text_base, {"a": adapter(text_base, "a", method)}) as attachments:
        request = TextRequest("hi", weights={"a": 1.0}, max_new_tokens=LENGTH, beams=3)
        (piece,) = stream_text(attachments, request)
        attachments.set_weights({"a": 1.0})
        numbers = text_base.tokenizer.apply_chat_template(
            [{"role": "user", "content": "hi"}], add_generation_prompt=True, tokenize=True, return_tensors="pt",
            return_dict=False,
        )  # fmt: skip
        found = text_base.model.generate(
            numbers, attention_mask=torch.ones_like(numbers), num_beams=3, do_sample=False, max_new_tokens=LENGTH,
            use_cache=False, pad_token_id=2,
        )  # fmt: skip
        attachments.set_weights({})
    assert piece.text == text_of(text_base, found[0, numbers.shape[1] :].tolist())


@pytest.mark.parametrize("kinds", [("lora", "lora"), ("lora", "prompt_tuning"), ("dora", "lora")])
def test_rows_of_a_batch_may_use_different_adapters(text_base: TextBase, kinds: tuple[str, str]) -> None:
    made = {
        name: adapter(text_base, name, kind, seed) for seed, (name, kind) in enumerate(zip("ab", kinds, strict=True))
    }
    mixes: list[dict[str, float]] = [{}, {"a": 1.0}, {"b": 0.7}, {"a": 0.5, "b": -0.5}]
    with attached(text_base, made) as attachments:
        assert attachments.can_weigh_rows({"a", "b"}) == (kinds == ("lora", "lora"))
        requests = [TextRequest("hi", weights=mix, max_new_tokens=LENGTH) for mix in mixes]
        found = dict(generate_texts(attachments, requests))
        expected = [text_of(text_base, slow(attachments, "hi", mix)) for mix in mixes]
        assert [found[number].text for number in range(4)] == expected
        assert len(set(expected)) == 4
        again = dict(generate_texts(attachments, requests[1:2]))
        assert again[0].text == expected[1]  # a weight for every row leaves nothing behind


def test_row_weights_are_the_logits_of_each_row_alone(text_base: TextBase) -> None:
    made = {name: adapter(text_base, name, seed=seed) for seed, name in enumerate("ab")}
    numbers = torch.tensor([[4, 20, 30, 5]])
    mixes: list[dict[str, float]] = [{"a": 0.3, "b": 1.2}, {"b": -1.0}, {}]
    with attached(text_base, made) as attachments, torch.no_grad():
        alone = []
        for mix in mixes:
            attachments.set_weights(mix)
            alone.append(text_base.model(input_ids=numbers).logits)
        attachments.set_row_weights(mixes)
        together = text_base.model(input_ids=numbers.expand(3, -1)).logits
        assert torch.allclose(together, torch.cat(alone), atol=1e-5)
        assert torch.equal(together[2], alone[2][0])


def test_a_recipe_acts_as_the_sum_of_its_weights(text_base: TextBase) -> None:
    made = {name: adapter(text_base, name, seed=seed) for seed, name in enumerate("ab")}
    recipe = plain_recipe({"a": 0.4, "b": 0.6})
    live = LiveRecipes(text_base, made)
    with attached(text_base, made) as attachments:
        by_recipe = dict(
            generate_texts(attachments, [TextRequest("hi", recipe=recipe, max_new_tokens=8)], recipes=live)
        )
        by_weight = dict(
            generate_texts(attachments, [TextRequest("hi", weights={"a": 0.4, "b": 0.6}, max_new_tokens=8)])
        )
        plain = dict(generate_texts(attachments, [TextRequest("hi", max_new_tokens=8)]))
    assert by_recipe[0].text == by_weight[0].text != plain[0].text


def test_equal_seeds_draw_equal_texts_in_any_batch(text_base: TextBase) -> None:
    attachments = Attachments(text_base)
    requests = [TextRequest(PROMPTS[n % 3], seed=n, temperature=1.0, top_p=0.9, max_new_tokens=6) for n in range(5)]
    together = dict(generate_texts(attachments, requests, batch_size=5))
    by_two = dict(generate_texts(attachments, requests, batch_size=2))
    streamed = ["".join(piece.text for piece in stream_text(attachments, request)) for request in requests]
    assert [together[n].text for n in range(5)] == [by_two[n].text for n in range(5)] == streamed
    assert together[0].text != together[3].text  # one prompt, two seeds


@pytest.mark.parametrize(("temperature", "top_p"), [(0.7, 1.0), (1.0, 0.6), (2.0, 0.95)])
def test_tokens_are_drawn_as_often_as_the_formula_says(temperature: float, top_p: float) -> None:
    logits = torch.tensor([1.0, 3.0, 2.0, -1.0, 2.5])
    exact = np.exp(logits.double().numpy() / temperature)
    exact /= exact.sum()
    order = np.argsort(-exact)
    kept = order[: int(np.searchsorted(np.cumsum(exact[order]), top_p - 1e-12) + 1)]
    expected = np.zeros(5)
    expected[kept] = exact[kept] / exact[kept].sum()
    request = TextRequest("x", temperature=temperature, top_p=top_p)
    generator = torch.Generator().manual_seed(1)
    drawn = np.bincount([draw(logits, request, generator) for _ in range(4000)], minlength=5) / 4000
    assert np.abs(drawn - expected).max() < 0.025
    assert not drawn[expected == 0].any()


def test_pieces_are_whole_characters_and_stop_texts_are_never_shown(text_base: TextBase) -> None:
    text = "so… naïve 🚤 END of it"
    numbers = text_base.tokenizer(text).input_ids
    for stop, expected, ended in (((), text, "end"), (("END",), "so… naïve 🚤 ", "stop"), (("of x",), text, "end")):
        writer = Writer(text_base, TextRequest("x", stop=stop))
        pieces = []
        for number in [*numbers, *text_base.stop_numbers]:
            pieces += writer.take(number)
            if pieces and pieces[-1].ended:
                break
        assert "".join(piece.text for piece in pieces) == expected
        assert pieces[-1].ended == ended
        assert len(pieces) > 8
        assert not any("�" in piece.text for piece in pieces)


def test_a_text_ends_at_its_limits(text_base: TextBase) -> None:
    attachments = Attachments(text_base)
    answer = dict(generate_texts(attachments, [TextRequest("hi", max_new_tokens=3)]))[0]
    assert (answer.tokens, answer.ended) == (3, "length")
    full = TextRequest("x" * (text_base.context_tokens - 8), max_new_tokens=100)
    answer = dict(generate_texts(attachments, [full]))[0]
    assert answer.ended == "length"
    assert answer.tokens <= 6
    with pytest.raises(UserError, match=r"The prompt has 303 tokens, and the base .* reads 256"):
        list(stream_text(attachments, TextRequest("x" * 300)))


def test_closing_a_stream_takes_the_adapters_off(text_base: TextBase) -> None:
    with attached(text_base, {"a": adapter(text_base, "a")}) as attachments:
        numbers = torch.tensor([[4, 20, 30, 5]])
        with torch.no_grad():
            before = text_base.model(input_ids=numbers).logits
            pieces: Any = stream_text(attachments, TextRequest("hi", weights={"a": 1.0}))
            next(pieces)
            assert not torch.equal(text_base.model(input_ids=numbers).logits, before)
            pieces.close()
            assert torch.equal(text_base.model(input_ids=numbers).logits, before)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"temperature": -1}, "temperature -1"),
        ({"top_p": 0}, "top_p 0"),
        ({"max_new_tokens": 0}, "max_new_tokens 0"),
        ({"beams": 3, "temperature": 1}, "temperature 1 must be 0"),
        ({"weights": {"a": math.nan}}, "weight nan"),
        ({"prompt": ""}, "prompt is empty"),
    ],
)
def test_requests_that_cannot_be_answered_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        TextRequest(**{"prompt": "x", **values})


def test_perplexity_is_exp_of_the_mean_loss_of_learned_tokens(text_base: TextBase) -> None:
    chat = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"})
    rows = [TextRow("1", messages=chat), TextRow("2", text="ahoy there")]
    with attached(text_base, {"a": adapter(text_base, "a")}) as attachments:
        for weights in ({}, {"a": 0.7}):
            total, count = 0.0, 0
            attachments.set_weights(weights)
            for numbers, first in (
                ([0, 4, 77, 78, 5, 94, 84, 1], 5),
                ([*text_base.tokenizer("ahoy there").input_ids, 1], 1),
            ):
                with torch.no_grad():
                    logits = text_base.model(input_ids=torch.tensor([numbers])).logits[0].double().numpy()
                for place in range(first, len(numbers)):
                    own = logits[place - 1]
                    total += np.log(np.exp(own - own.max()).sum()) + own.max() - own[numbers[place]]
                    count += 1
            found = perplexity(attachments, rows, weights)
            assert found.tokens == count
            assert found.value == pytest.approx(np.exp(total / count), rel=1e-5)
