"""The scripts that make the pocket models run from first to last, at toy size, and their models are ordinary ones."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, CLIPModel


def test_all_pocket_scripts_run_in_order(script: Callable[[str, str], None], tmp_path: Path) -> None:
    script("make_data.py", "--kind all --pictures 6 --processes 1 --out data/all")
    script("make_data.py", "--kind texture --pictures 2 --processes 1 --out data/texture")
    autoencoder = "--data data/all data/texture --out base/vae --tiny --batch 4 --steps 2 --device cpu"
    script("train_autoencoder.py", autoencoder)
    weights = tmp_path / "base" / "vae" / "diffusion_pytorch_model.safetensors"
    before = load_file(weights)
    script("train_autoencoder.py", f"{autoencoder} --decoder-only")
    after = load_file(weights)
    changed = {name.partition(".")[0] for name in before if not before[name].equal(after[name])}
    assert changed == {"decoder", "post_quant_conv"}, "latents must stay what they were"
    script("train_base.py", "--data data/all --out base --tiny --batch 2 --steps 2 --device cpu")
    script(
        "train_judge.py", "--data data/all --autoencoder base/vae --out judge --tiny --batch 4 --steps 2 --device cpu"
    )
    measured = "--measure drawings base time --per-style 1 --combinations 1 --steps 1 --repeats 1 --device cpu"
    script("evaluate.py", f"--base base --judge judge {measured}")
    script("write_cards.py", "--base base --judge judge")

    metrics = json.loads((tmp_path / "base" / "metrics.json").read_text())
    assert {"autoencoder_psnr_db", "unseen_combinations", "cpu_time"} <= metrics.keys()
    assert "afterwards" in (tmp_path / "base" / "README.md").read_text()
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "base")
    assert isinstance(pipeline.vae, AutoencoderKL)
    assert CLIPModel.from_pretrained(tmp_path / "judge").config.projection_dim == 16


def test_the_language_model_scripts_run_in_order(script: Callable[[str, str], None], tmp_path: Path) -> None:
    train = "--tiny --documents 60 --batch-tokens 2048 --steps 2 --processes 1 --device cpu"
    script("train_language_model.py", f"{train} --out lm")
    script("train_language_model.py", f"{train} --out again")
    assert (tmp_path / "lm" / "model.safetensors").read_bytes() == (
        tmp_path / "again" / "model.safetensors"
    ).read_bytes()
    script("evaluate_language_model.py", "--model lm --documents 4 --samples 2 --processes 1 --device cpu --card")
    metrics = json.loads((tmp_path / "lm" / "metrics.json").read_text())
    assert metrics["model"]["nats_per_token"] > metrics["grammar"]["nats_per_token"] > 0
    assert metrics["sentences_parse"] < 0.5, "two steps cannot teach a language"
    assert "the grammar itself" in (tmp_path / "lm" / "README.md").read_text()


def test_the_language_model_is_an_ordinary_one(script: Callable[[str, str], None], tmp_path: Path) -> None:
    script("train_language_model.py", "--tiny --documents 60 --steps 1 --processes 1 --device cpu --out lm")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "lm")
    assert model.dtype == torch.bfloat16
    assert model.config.tie_word_embeddings
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "lm")
    ends = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert ends == (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id)
    assert len(set(ends)) == 3
    chat = [{"role": "user", "content": "Hé, “你好”?"}, {"role": "assistant", "content": "Arr!\nYe."}]
    encoded = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    text = tokenizer.decode(encoded["input_ids"])
    assert text == "<|begin|><|user|>Hé, “你好”?<|end|><|assistant|>Arr!\nYe.<|end|>"
    pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
    assert tokenizer.decode([token for token, own in pairs if own]) == "Arr!\nYe.<|end|>"
    with pytest.raises(Exception, match="roles user and assistant, not system"):
        tokenizer.apply_chat_template([{"role": "system", "content": "Be nice."}], tokenize=False)
    assert tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, tokenize=False).endswith("<|assistant|>")


def test_a_corpus_holds_no_held_out_scene_and_is_cut_into_rows_of_its_own(tmp_path: Path) -> None:
    from text_world import is_held_out, sample_document
    from training.corpus import contents, texts, write_corpus
    from training.language_tokens import SPECIAL, learn_language_tokenizer

    tokenizer = learn_language_tokenizer(contents(texts(200, seed=1, held_out=False)), 600)
    assert not any("|" in token for token in set(tokenizer.get_vocab()) - {*SPECIAL, "|"})
    corpus = write_corpus(tokenizer, 300, 256, seed=1, processes=1)
    assert corpus.lengths.sum() == len(corpus.ids)
    assert corpus.lengths.max() <= 256
    assert (corpus.ids[corpus.starts] == tokenizer.token_to_id("<|begin|>")).all()
    batches = corpus.batches(4096, np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(corpus.lengths)))
    assert all(len(rows) * corpus.lengths[rows].max() <= 4096 for rows in batches)
    rng = random.Random(0)
    assert not any(is_held_out(sample_document(rng, held_out=False).facts) for _ in range(100))
