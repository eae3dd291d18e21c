"""Textual inversion: what a new word is to the text encoder, from the command line to the picture."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipelines.attach import Attachments, attached
from pipelines.families import LoadedBase
from pipelines.families._words import tokenise
from studio.cli.main import main
from studio.library.library import Library
from tests.support import draw_pictures, random_adapter
from tests.trainers.methods import cells
from trainers.config import parse_config
from trainers.data.latents import Latents
from trainers.errors import UserError
from trainers.image_task import ImageTask
from trainers.methods import find_method
from trainers.tuners import peft_bridge as bridge

METHOD = find_method("textual_inversion")
PART = ("text_encoder",)


def states(base: LoadedBase, prompt: str) -> Tensor:
    with torch.no_grad():
        return base.encode_text([prompt])["encoder_hidden_states"]


def vectors_of(adapter: Any, name: str = "vectors") -> Tensor:
    return next(t for key, t in adapter.parts["text_encoder"].tensors.items() if key.endswith(name))


def test_the_word_stands_for_its_vectors(base: LoadedBase) -> None:
    adapter = random_adapter(base, "x", method="textual_inversion", parts=PART, word="boat-style", vectors=3)
    encoder: Any = base.parts["text_encoder"]
    prompt = "a sea in <Boat-Style>, ink"
    plain = states(base, prompt)
    with attached(base, {"x": adapter}) as attachments:
        assert torch.equal(states(base, prompt), plain)
        attachments.set_weights({"x": 1.0})
        found = states(base, prompt)
        assert torch.equal(states(base, "a sea, ink"), attached_off(attachments, base, "a sea, ink"))
    tokenizer: Any = base.tokenizer  # type: ignore[attr-defined]
    before = tokenizer("a sea in", add_special_tokens=False).input_ids
    behind = tokenizer(", ink", add_special_tokens=False).input_ids
    ids = [tokenizer.bos_token_id, *before, 0, 0, 0, *behind]
    ids += [tokenizer.eos_token_id] * (77 - len(ids))
    words = encoder.embeddings.token_embedding(torch.tensor([ids]))
    words[0, 1 + len(before) : 4 + len(before)] = vectors_of(adapter)
    with torch.no_grad():
        wanted = _run(encoder, ids, words)
    assert torch.equal(found, wanted)


def _run(encoder: Any, ids: list[int], words: Tensor) -> Tensor:
    handle = encoder.embeddings.token_embedding.register_forward_hook(lambda *_: words)
    try:
        return encoder(torch.tensor([ids])).last_hidden_state
    finally:
        handle.remove()


def attached_off(attachments: Attachments, base: LoadedBase, prompt: str) -> Tensor:
    attachments.set_weights({})
    found = states(base, prompt)
    attachments.set_weights({"x": 1.0})
    return found


@pytest.mark.parametrize(
    "prompt", ["a <new> boat", "<new>", "sea<new>side", "<new><new>, <NEW>", "word " * 70 + "<new> end", "a boat"]
)
def test_prompts_are_cut_as_the_tokenizers_own_added_words_are(base: LoadedBase, tiny_base: Path, prompt: str) -> None:
    from transformers import CLIPTokenizer

    adapter = random_adapter(base, "x", method="textual_inversion", parts=PART, vectors=2)
    own = CLIPTokenizer.from_pretrained(tiny_base / "tokenizer")
    own.add_tokens(["<new>_0", "<new>_1"])
    options = {"padding": "max_length", "max_length": 77, "truncation": True, "return_tensors": "pt"}
    wanted = own([prompt.replace("<NEW>", "<new>").replace("<new>", "<new>_0<new>_1")], **options).input_ids
    for number, word in ((-1, "<new>_0"), (-2, "<new>_1")):
        wanted[wanted == own.convert_tokens_to_ids(word)] = number
    with attached(base, {"x": adapter}) as attachments:
        attachments.set_weights({"x": 1.0})
        assert torch.equal(tokenise(base.tokenizer, base.parts["text_encoder"], [prompt]), wanted)  # type: ignore[attr-defined]


def test_several_adapters_weigh_their_words(base: LoadedBase) -> None:
    one, two = (
        random_adapter(base, name, seed=seed, method="textual_inversion", parts=PART, word=word, vectors=2)
        for name, seed, word in (("one", 1, "cat"), ("two", 2, "sky"))
    )
    encoder: Any = base.parts["text_encoder"]
    with attached(base, {"one": one, "two": two}) as attachments, torch.no_grad():
        attachments.set_weights({"two": 1.0, "one": 0.25})
        words = bridge.new_words(encoder)
        assert words == {"<sky>": (-1, -2), "<cat>": (-3, -4)}
        found = encoder.embeddings.token_embedding(torch.tensor([[-1, 5, -3]]))[0]
        start = vectors_of(one, "start")
        assert torch.equal(found[0], vectors_of(two)[0])
        assert torch.equal(found[1], encoder.embeddings.token_embedding.weight[5])
        assert torch.allclose(found[2], start[0] + 0.25 * (vectors_of(one)[0] - start[0]), atol=1e-6)
        attachments.set_weights({"two": 1.0})
        assert bridge.new_words(encoder) == {"<sky>": (-1, -2)}


def test_it_begins_with_known_words(tiny_base: Path) -> None:
    model = cells.own_model("text_encoder", tiny_base)
    module: Any = model.module
    table = module.embeddings.token_embedding.weight
    numbers = model.token_ids("ab")
    assert len(numbers) == 2
    cells.attach(METHOD, model, vectors=3, start="ab")
    for name, value in bridge.adapter_parameters(model.module, "a").items():
        assert torch.equal(value, table[[numbers[0], numbers[1], numbers[0]]]), name
    with pytest.raises(UserError, match=r"'abc': that is 3 tokens, and vectors is 2. Give vectors=3"):
        cells.attach(METHOD, model, "b", vectors=2, start="abc")


def test_a_unet_reads_no_words(base: LoadedBase) -> None:
    with pytest.raises(UserError, match="unet reads no words"):
        base.token_ids("unet", "boat")


def test_a_word_that_no_caption_holds_is_refused(base: LoadedBase) -> None:
    mean = torch.randn(2, 4, 8, 8)
    data = Latents(mean, torch.ones_like(mean), ("zqx, one", "zqx, two"))
    values = {"data": "d", "name": "n", "trigger": "zqx", "parts": {"text_encoder": {"method": "textual_inversion"}}}
    with pytest.raises(UserError, match=r"No caption holds <new>.*leave --trigger out"):
        ImageTask(parse_config(values), base, data)


def test_from_pictures_to_a_picture(
    tiny_base: Path, tiny_judge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = draw_pictures(tmp_path / "pictures", 2)
    library = ["--library", str(tmp_path / "library")]
    train = ["train", "--data", str(pictures), "--name", "inked", "--base", str(tiny_base), "--judge", str(tiny_judge)]
    train += ["--parts", "text_encoder", "--method", "textual_inversion", "--setting", "word=ink"]
    train += ["--steps", "4", "--batch-size", "1", "--caption-dropout", "0.5", "--warmup-steps", "0"]
    assert main([*train, *library]) == 0
    assert "studio generate '<ink>, a red boat, sea'" in capsys.readouterr().out
    adapter = Library(tmp_path / "library").read("inked")
    assert adapter.card.triggers == ("<ink>",)
    assert not torch.equal(vectors_of(adapter), vectors_of(adapter, "start"))
    drawn = {}
    for name, prompt in (("with", "a boat in <ink> style"), ("without", "a boat")):
        for weight in ("0", "1"):
            out = tmp_path / f"{name}-{weight}.png"
            more = ["--adapter", f"inked:{weight}", "--base", str(tiny_base), "--steps", "2", "--out", str(out)]
            assert main(["generate", prompt, *more, *library]) == 0
            drawn[name, weight] = out.read_bytes().partition(b"IDAT")[2]
        told = capsys.readouterr().out
        assert ("the prompt lacks <ink>" in told) == (name == "without")
    assert drawn["with", "0"] != drawn["with", "1"]
    assert drawn["without", "0"] == drawn["without", "1"]


def test_the_cut_names_the_word_and_counts_its_places(base: LoadedBase) -> None:
    adapter = random_adapter(base, "x", method="textual_inversion", parts=PART, vectors=4)
    with attached(base, {"x": adapter}) as attachments:
        assert base.cut_text("a " * 70 + "<new>") == ""
        assert base.cut_text("a " * 71 + "<new>") == ">"  # off: it is read letter by letter
        attachments.set_weights({"x": 1.0})
        assert base.cut_text("a " * 71 + "<new>") == ""
        assert base.cut_text("a " * 72 + "<new>") == "<new>"
        assert base.cut_text("a " * 75 + "<new> b") == "<new> b"
        notes = attachments.prompt_notes("a " * 75 + "<new> b", {"x": 1.0})
        assert len(notes) == 1
        assert "'<new> b'" in notes[0]
