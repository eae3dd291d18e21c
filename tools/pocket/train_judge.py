"""Trains the judge, a small CLIPModel, from scratch on drawings in every style.

    python tools/pocket/train_judge.py --data pocket-data/all pocket-data/judge --minutes 2.5 \\
        --autoencoder pipelines/pocket/base/vae --out pipelines/pocket/judge

gives an ordinary CLIPModel and CLIPProcessor folder in fp16. Half of the pictures that it sees have been
through the autoencoder with a little noise on the latents, so that it judges generated pictures as
fairly as drawn ones. `--tiny` is a thin model for tests.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn
from training.captions import facts
from training.data import batches, jobs, load_pictures, read_recipe, to_bytes, to_model
from training.graph import recorded
from training.judging import Lessons, colourless_styles, judge_view, make_lessons
from training.loop import (
    Average,
    Budget,
    Log,
    autocast,
    make_optimizer,
    pick_device,
    seed_everything,
    set_rate,
    write_record,
)
from training.models import JUDGE_PX, POCKET, TINY, build_judge
from training.saving import save_judge
from training.tokens import learn_tokenizer
from transformers import CLIPModel
from world import caption

PEAK_RATE = 1e-3
DECODED_SHARE = 0.5
LATENT_NOISE = 0.15
FACT_WEIGHT = 1.0
CAPTIONS_PER_STEP = 2
LARGEST_SCALE = 4.6  # the logarithm of 100, CLIP's own bound


class Lesson(nn.Module):
    """The judge with a linear head that names facts, and their loss; the head is dropped afterwards."""

    def __init__(self, judge: CLIPModel, fact_count: int) -> None:
        super().__init__()
        self.judge = judge
        self.head = nn.Linear(judge.config.vision_config.hidden_size, fact_count)
        # Few facts are true of a picture; starting from there spares the first hundred steps.
        nn.init.constant_(self.head.bias, -4.0)

    def forward(
        self,
        views: torch.Tensor,
        tokens: torch.Tensor,
        stated: torch.Tensor,
        true: torch.Tensor,
        unknown: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Contrastive and fact loss of views [b, 3, 128, 128] and c captions [c, tokens].

        A caption is true of every picture that has all the facts it states, whichever picture it was
        written for: all those are positives. Where only unknown facts are missing, the pair is left out.
        stated [c, facts], true and unknown [b, facts], all 0 or 1.
        """
        pooled = self.judge.vision_model(pixel_values=views).pooler_output
        images = F.normalize(self.judge.visual_projection(pooled).float(), dim=-1)
        states = self.judge.text_model(input_ids=tokens).pooler_output
        texts = F.normalize(self.judge.text_projection(states).float(), dim=-1)
        logits = images @ texts.T * self.judge.logit_scale.float().clamp(max=LARGEST_SCALE).exp()
        wanted = stated.sum(dim=1)
        missing = wanted - true @ stated.T
        positive = missing == 0
        left_out = ~positive & (missing <= unknown @ stated.T)
        logits = logits.masked_fill(left_out, -1e4)
        contrast = (choice_loss(logits, positive) + choice_loss(logits.T, positive.T)) / 2
        fact_losses = F.binary_cross_entropy_with_logits(self.head(pooled).float(), true, reduction="none")
        return contrast, (fact_losses * (1 - unknown)).sum(dim=1).mean() / 10


def choice_loss(logits: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each row's positives, averaged over them; rows without one do not count."""
    scores = F.log_softmax(logits, dim=1)
    counts = positive.sum(dim=1)
    row_loss = -(scores * positive).sum(dim=1) / counts.clamp(min=1)
    return row_loss.sum() / (counts > 0).sum().clamp(min=1)


@torch.no_grad()
def small_views(pictures: torch.Tensor, autoencoder: AutoencoderKL) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures at 128 pixels, drawn and decoded, uint8 [n, 128, 128, 3] each."""
    shape = (len(pictures), JUDGE_PX, JUDGE_PX, 3)
    drawn = torch.empty(shape, dtype=torch.uint8, device=pictures.device)
    decoded = torch.empty_like(drawn)
    for part in batches(len(pictures), 128):
        images = to_model(pictures[part]).contiguous(memory_format=torch.channels_last)
        drawn[part] = to_bytes(judge_view(pictures[part]))
        with autocast(pictures.device):
            latents = autoencoder.encode(images).latent_dist.mean
            strength = LATENT_NOISE * torch.rand(len(images), 1, 1, 1, device=pictures.device)
            noise = strength / autoencoder.config.scaling_factor * torch.randn_like(latents)
            seen = autoencoder.decode(latents + noise).sample
        decoded[part] = to_bytes(judge_view(to_bytes(seen)))
    return drawn, decoded


def augmented(views: torch.Tensor) -> torch.Tensor:
    """Bytes [b, 128, 128, 3] as floats [b, 3, 128, 128], moved, scaled and lit a little differently."""
    count, device = len(views), views.device
    images = to_model(views)
    transform = torch.zeros(count, 2, 3, device=device)
    zoom = 1 + 0.1 * (torch.rand(count, device=device) - 0.5)
    transform[:, 0, 0], transform[:, 1, 1] = zoom, zoom
    transform[:, :, 2] = 0.12 * (torch.rand(count, 2, device=device) - 0.5)
    grid = F.affine_grid(transform, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    contrast = 1 + 0.2 * (torch.rand(count, 1, 1, 1, device=device) - 0.5)
    brightness = 0.1 * (torch.rand(count, 1, 1, 1, device=device) - 0.5)
    return (images * contrast + brightness).clamp(-1, 1)


def train(
    model: Lesson,
    views: tuple[torch.Tensor, torch.Tensor],
    lessons: Lessons,
    budget: Budget,
    batch: int,
    graph: bool,
) -> None:
    """Trains in place; `views` are the drawn and the decoded pictures."""
    drawn, decoded = views
    device = drawn.device
    parameters = list(model.parameters())
    optimizer = make_optimizer(parameters, decay=0.05)
    average, log = Average(parameters), Log(budget)

    def step() -> dict[str, torch.Tensor]:
        chosen = torch.randint(len(drawn), (batch,), device=device)
        from_decoder = torch.rand(batch, 1, 1, 1, device=device) < DECODED_SHARE
        seen = augmented(torch.where(from_decoder, decoded[chosen], drawn[chosen]))
        rows = chosen.repeat(CAPTIONS_PER_STEP)
        which = torch.randint(lessons.tokens.shape[1], (len(rows),), device=device)
        tokens, stated = lessons.tokens[rows, which].long(), lessons.stated[rows, which].float()
        true, unknown = lessons.true[chosen].float(), lessons.unknown[chosen].float()
        with autocast(device):
            contrast, naming = model(seen, tokens, stated, true, unknown)
        optimizer.zero_grad(set_to_none=True)
        (contrast + FACT_WEIGHT * naming).backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return {"contrast": contrast, "naming": naming, "gradient": norm}

    set_rate(optimizer, PEAK_RATE, 0)
    run = recorded(step, device, graph)
    for progress in budget:
        set_rate(optimizer, PEAK_RATE, progress)
        figures = run()
        average.update()
        log.add(**figures)
    log.flush()
    average.apply()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data folders")
    parser.add_argument("--autoencoder", type=Path, required=True, help="the base's vae folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--steps", type=int, help="a fixed number of steps instead of minutes")
    parser.add_argument("--batch", type=int, default=1024, help="pictures per step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device")
    parser.add_argument("--no-graph", action="store_true", help="launch every kernel by itself")
    parser.add_argument("--tiny", action="store_true", help="a thin model, for tests")
    return parser.parse_args()


def main() -> None:
    """Prepares the views and lessons, trains, saves."""
    options = parse()
    seed_everything(options.seed)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    device = pick_device(options.device)
    recipes = [read_recipe(folder) for folder in options.data]
    todo = [job for recipe in recipes for job in jobs(recipe)]
    colourless = colourless_styles()
    tokenizer = learn_tokenizer(caption(scene, style) for scene, style, _ in todo)
    lessons = make_lessons(todo, tokenizer, colourless, options.seed).to(device)
    pictures = load_pictures(options.data, device)
    autoencoder = AutoencoderKL.from_pretrained(options.autoencoder, torch_dtype=torch.float32)
    views = small_views(pictures, autoencoder.to(device))
    del pictures, autoencoder
    judge = build_judge(TINY if options.tiny else POCKET, tokenizer)
    model = Lesson(judge, len(facts())).to(device)
    budget = Budget(options.minutes, options.steps)
    train(model, views, lessons, budget, options.batch, not options.no_graph)
    save_judge(options.out, judge, tokenizer)
    data = [str(recipe) for recipe in recipes]
    write_record(options.out, device, budget, seed=options.seed, data=data, colourless=sorted(colourless))
    print(f"saved {options.out} after {budget.step} steps")


if __name__ == "__main__":
    main()
