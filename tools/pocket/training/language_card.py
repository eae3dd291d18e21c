"""The language model's card, put together from `training.json` and, once measured, `metrics.json`."""

from __future__ import annotations

from pathlib import Path

from training.card_pieces import HEAD, parameters, read, training

ABOUT = """A small Llama, trained from scratch on texts that this project writes itself with a probabilistic
grammar. It tells short stories of the pocket world, describes scenes, answers questions about them, in its own words
or in words that it is given, follows a few instructions, talks about moods, and writes prompts for the pocket picture
model. It knows this world and nothing else, in one plain register.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "pipelines/pocket/language_model"
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
messages = [{"role": "user", "content": "There is a small red boat on the sea. What colour is the boat?"}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt, do_sample=False)[0][prompt["input_ids"].shape[1] :]))
```

A dialogue is `<|begin|><|user|>…<|end|><|assistant|>…<|end|>`, a plain story `<|begin|>…<|end|>`. There is no system
role. The template marks the assistant's words, so that a training can count them alone.
"""


def write_language_card(folder: Path) -> None:
    """`README.md` of the language model's folder."""
    (folder / "README.md").write_text(language_card(folder), encoding="utf-8")


def language_card(folder: Path) -> str:
    """The card."""
    lines = [
        HEAD.format(library="transformers", task="text-generation", title="Pocket language model"),
        ABOUT,
        f"\n{parameters(folder) / 1e6:.2f} M parameters in bf16, byte-level BPE, a context of 512 tokens.\n\n",
        "## Figures\n\n",
        _figures(folder),
        "\n## Training\n\n",
        training("Language model", folder / "training.json"),
        "Texts are written by `tools/pocket/text_world`; 6 % of its scenes are held out by their hash. Made by\n"
        "this project and under its licence, Apache-2.0.\n",
    ]
    return "".join(lines)


def _figures(folder: Path) -> str:
    if not (folder / "metrics.json").is_file():
        held_out = read(folder / "training.json")["held_out"]
        return (
            f"Perplexity per token on held-out scenes: {held_out['perplexity']:.3f}; of the grammar that wrote them:\n"
            f"{held_out['grammar_perplexity']:.3f}.\n"
        )
    metrics = read(folder / "metrics.json")
    model, grammar = metrics["model"], metrics["grammar"]
    shares = {
        "sampled sentences that parse": metrics["sentences_parse"],
        "sampled documents that parse, all facts in agreement": metrics["documents_parse"],
        "questions about unseen scenes answered right": metrics["answers_right"],
        "prompts for the picture model that are valid and true to the wish": metrics["prompts_valid"],
    }
    return (
        f"On {metrics['documents']} documents of held-out scenes:\n\n"
        "| | perplexity per token | nats per character |\n| --- | --- | --- |\n"
        f"| this model | {model['perplexity_per_token']:.4f} | {model['nats_per_character']:.4f} |\n"
        f"| the grammar itself, the best possible | {grammar['perplexity_per_token']:.4f} "
        f"| {grammar['nats_per_character']:.4f} |\n\n"
        "| share | % |\n| --- | --- |\n"
        + "".join(f"| {name} | {100 * share:.1f} |\n" for name, share in shares.items())
    )
