"""Group-relative policy optimisation: learn from the rewards of answers that the model itself writes in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from trainers.data.chat import ChatEncoder, Encoded
from trainers.data.pairs import refuse_packing
from trainers.data.passed_over import passed_over
from trainers.data.prompts import prompts_of
from trainers.data.texts import TextRow
from trainers.errors import UserError
from trainers.paths import path_of
from trainers.protocols import LanguageModel
from trainers.registry import Naming
from trainers.rewards import Answered, Rate, Reward, WeightedReward, build_rewards, parse_rewards, reward_words
from trainers.stages._stage import VALIDATION, Stage, StageSettings, WritingTask, without_gradients
from trainers.text_config import TextConfig
from trainers.wording import count_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trainers.data.token_batches import TokenBatch

_EVALUATION_ROWS = 16
_LONG = "prompts that leave no room for an answer"


class GrpoSettings(StageSettings):
    """Settings of group-relative policy optimisation."""

    rewards: Annotated[tuple[str, ...], Naming(reward_words)] = Field(
        ("polite_ending",),
        min_length=1,
        description="What is rewarded; a weight follows a colon, and several are joined by + on a command line.",
    )
    group_size: int = Field(8, ge=2, le=256, description="Answers to each prompt, which are compared with each other.")
    max_new_tokens: int = Field(48, ge=1, le=4096, description="Longest answer in tokens.")
    temperature: float = Field(1.0, gt=0, le=5, description="Of the sampling; lower values try less.")
    beta: float = Field(0.04, ge=0, le=10, description="How strongly the model is held to the base; 0 for not at all.")
    clip: float = Field(
        0.2, gt=0, lt=1, description="How far a token's ratio may move from 1 before it stops counting."
    )
    iterations: int = Field(1, ge=1, le=64, description="Steps that are made from the same answers.")
    scaled: bool = Field(True, description="Divide advantages by the deviation of their group, as the paper does.")

    @field_validator("rewards", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(one for one in value.split("+") if one.strip()) if isinstance(value, str) else value

    @field_validator("rewards")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(one) for one in parse_rewards(value))
        except UserError as error:
            raise ValueError(str(error)) from error

    def prepared(self, folder_of: Callable[[str], str]) -> dict[str, Any]:
        def full(reward: Reward, argument: str) -> str:
            if reward.is_adapter:
                return folder_of(argument)
            return str(path_of(argument).resolve()) if reward.is_path else argument

        kept = [str(one.with_argument(full)) for one in parse_rewards(self.rewards)]
        return {**super().prepared(folder_of), "rewards": kept}

    def portable(self) -> dict[str, Any]:
        return {**self.model_dump(mode="json"), "rewards": [str(one.portable()) for one in parse_rewards(self.rewards)]}


@dataclass(frozen=True)
class _Written:
    """Answers with what was found of them when they were written."""

    rows: Sequence[Encoded]
    advantages: Tensor
    """[answers]"""
    before: Tensor | None
    """log p of every token [n] under the model that wrote them; None where that is the one that learns."""
    reference: Tensor
    """log p of every token [n] under the base."""


class GroupPolicyTask(WritingTask):
    """The task; see `trainers.stages.TextTask`. Its examples are the prompts, of which nothing is learned."""

    def __init__(
        self, config: TextConfig, settings: GrpoSettings, role: LanguageModel, rows: Sequence[TextRow]
    ) -> None:
        refuse_packing(config.packing)
        self.config, self.settings, self.role = config, settings, role
        self._encoder = ChatEncoder(role.tokenizer)
        self._max_length = config.length_for(role.context_tokens)
        found = [(row, self._encoder.beginning(row)) for row in prompts_of(rows)]
        self._rows, self._prompts, longer = self._fitting(found)
        self.examples: Sequence[Encoded] = [Encoded(tuple(one), (False,) * len(one)) for one in self._prompts]
        self.places: Sequence[str] = [row.where for row in self._rows]
        self.lengths: Sequence[int] = [len(prompt) for _, prompt in found]
        self.notes: Sequence[str] = passed_over({_LONG: longer})
        self._rewards = parse_rewards(settings.rewards)
        # What the data lack for a reward is told now, before anything is attached.
        self._try([one for one in self._rewards if not one.reward.is_adapter])
        self._rate: Rate | None = None
        self._kept: dict[int, _Written] = {}

    def prepare(self) -> None:
        """Make the rewards.

        Raises:
            UserError: a reward cannot be made, or answers would be used again on several devices.
        """
        import torch

        if self.settings.iterations > 1 and torch.distributed.is_available() and torch.distributed.is_initialized():
            raise UserError("iterations above 1 works on one device. Start the run with one process, or take 1.")
        self._rate = build_rewards(self._rewards, self.role)

    def _try(self, rewards: Sequence[WeightedReward]) -> None:
        rate = build_rewards(rewards, self.role)
        rate([Answered(row.messages, "Yes.", row.columns, row.where) for row in self._rows])

    def weight(self, batch_number: int) -> float:
        return 1.0

    def loss(self, batch_number: int, generator: torch.Generator) -> Tensor:
        from trainers.data.token_batches import IGNORED
        from trainers.losses.group_policy import group_policy

        written = self._written(batch_number, generator)
        batch, settings = self._batch(written.rows), self.settings
        now = self._log_likelihoods(batch)
        before = now.detach() if written.before is None else written.before
        rows = (batch.labels[:, 1:] != IGNORED).nonzero()[:, 0]
        found = group_policy(
            now, before, written.reference, rows, written.advantages, beta=settings.beta, clip=settings.clip
        )
        self.note(divergence=found.divergence, clipped=found.clipped)
        return found.loss

    def facts(self) -> Mapping[str, str]:
        settings, size = self.settings, self.config.batch_size
        return {
            "prompts": f"{len(self._prompts)}, {max(self.lengths)} tokens at most",
            "rewards": " + ".join(f"{one.weight:g} × {one.reward.title}" for one in self._rewards),
            "answers": f"{size} × {settings.group_size} per batch, up to {settings.max_new_tokens} tokens each",
            "reference": f"the base with the adapter off, beta {settings.beta:g}",
        }

    def prompts(self, count: int) -> list[TextRow]:
        return list(self._rows[:count])

    def about_held_out(self, rows: Sequence[TextRow]) -> Sequence[str]:
        _, _, longer = self._fitting([(row, self._encoder.beginning(row)) for row in prompts_of(rows)])
        return passed_over({_LONG: longer})

    @without_gradients
    def validate(self, rows: Sequence[TextRow]) -> Mapping[str, float]:
        """Return the mean reward of one sampled answer to each prompt, with the same draws every time."""
        import torch

        from trainers.data.order import mixed_seed

        asked, _, _ = self._fitting([(row, self._encoder.beginning(row)) for row in prompts_of(rows)])
        generator = torch.Generator().manual_seed(mixed_seed(self.config.seed, "validation"))
        values: list[float] = []
        for start in range(0, len(asked), _EVALUATION_ROWS):
            chosen = asked[start : start + _EVALUATION_ROWS]
            prompts = [self._encoder.beginning(row) for row in chosen]
            values += self._rated(chosen, self._sample(prompts, generator))
        mean = sum(values) / len(values)
        return {VALIDATION: -mean, "validation_reward": mean}

    def state(self) -> Mapping[str, Tensor]:
        """Return the answers that further steps are made from."""
        import torch

        found: dict[str, Tensor] = {}
        for slot, written in self._kept.items():
            lengths = [len(one.numbers) for one in written.rows]
            found[f"{slot}.numbers"] = torch.tensor([number for one in written.rows for number in one.numbers])
            found[f"{slot}.trained"] = torch.tensor([int(own) for one in written.rows for own in one.trained])
            found[f"{slot}.lengths"] = torch.tensor(lengths)
            found[f"{slot}.advantages"], found[f"{slot}.reference"] = written.advantages, written.reference
            assert written.before is not None
            found[f"{slot}.before"] = written.before
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._kept, device = {}, self.role.device
        for slot in sorted({int(name.partition(".")[0]) for name in state}):
            own = {name: state[f"{slot}.{name}"] for name in ("numbers", "trained", "lengths")}
            lengths = own["lengths"].tolist()
            numbers, trained = (own[name].split(lengths) for name in ("numbers", "trained"))
            rows = [Encoded(tuple(n.tolist()), tuple(map(bool, t))) for n, t in zip(numbers, trained, strict=True)]
            rest = [state[f"{slot}.{name}"].to(device) for name in ("advantages", "before", "reference")]
            self._kept[slot] = _Written(rows, *rest)

    def _written(self, batch_number: int, generator: torch.Generator) -> _Written:
        """Return the answers of a batch: fresh ones, or those of an earlier step that still serve."""
        step, slot = divmod(batch_number, self.config.gradient_accumulation_steps)
        serves, size = self.settings.iterations, self.config.batch_size
        if serves == 1:
            return self._write(batch_number * size, generator)
        if step % serves == 0:
            self._kept[slot] = self._write(
                ((step // serves) * self.config.gradient_accumulation_steps + slot) * size, generator
            )
        return self._kept[slot]

    @without_gradients
    def _write(self, first: int, generator: torch.Generator) -> _Written:
        import torch

        from trainers.data.order import data_order
        from trainers.losses.group_policy import group_advantages
        from trainers.tuners.live_weights import without_adapters

        order = data_order(len(self._rows), first, self.config.batch_size, self.config.seed)
        chosen = [number for number in order for _ in range(self.settings.group_size)]
        prompts = [self._prompts[number] for number in chosen]
        answers = self._sample(prompts, generator)
        values = torch.tensor(self._rated([self._rows[number] for number in chosen], answers), dtype=torch.float64)
        groups = values.reshape(-1, self.settings.group_size)
        advantages = group_advantages(groups, scaled=self.settings.scaled).flatten().float().to(self.role.device)
        rows = [
            Encoded((*prompt, *answer), (False,) * len(prompt) + (True,) * len(answer))
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
        batch, model = self._batch(rows), self.role.model
        learning = model.training
        model.eval()
        before = self._log_likelihoods(batch) if self.settings.iterations > 1 else None
        with without_adapters(model):
            reference = self._log_likelihoods(batch)
        model.train(learning)
        self.note(
            reward=float(values.mean()),
            reward_deviation=float(groups.std(1).mean()),
            answer_tokens=sum(map(len, answers)) / len(answers),
        )
        return _Written(rows, advantages, before, reference)

    def _sample(self, prompts: Sequence[Sequence[int]], generator: torch.Generator) -> list[tuple[int, ...]]:
        from trainers.decoding import sample_rows

        settings, model = self.settings, self.role.model
        learning = model.training
        model.eval()
        try:
            return sample_rows(
                self.role,
                prompts,
                generator,
                temperature=settings.temperature,
                max_new_tokens=settings.max_new_tokens,
            )
        finally:
            model.train(learning)

    def _rated(self, rows: Sequence[TextRow], answers: Sequence[Sequence[int]]) -> list[float]:
        assert self._rate is not None, "prepare comes first"
        texts = self.role.tokenizer.batch_decode(
            [list(one) for one in answers], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return self._rate(
            [
                Answered(row.messages, text.strip(), row.columns, row.where)
                for row, text in zip(rows, texts, strict=True)
            ]
        )

    def _batch(self, rows: Sequence[Encoded]) -> TokenBatch:
        from trainers.data.token_batches import pad_right

        return pad_right(rows, self.role.tokenizer.pad_token_id).to(self.role.device)

    def _log_likelihoods(self, batch: TokenBatch) -> Tensor:
        """Return log p of every token of the answers [n], at the temperature that they are sampled at."""
        from trainers.losses.next_token import token_losses

        logits = self.role.model(**batch.arguments(), use_cache=False).logits
        return -token_losses(logits / self.settings.temperature, batch.labels)

    def _fitting(self, found: Sequence[tuple[TextRow, list[int]]]) -> tuple[list[TextRow], list[list[int]], list[str]]:
        """Return the prompts that leave room for an answer, in words and in tokens, and where the others stand.

        Raises:
            UserError: there are others, and they may not be left out; or there is nothing else.
        """
        room = self._max_length - self.settings.max_new_tokens
        longer = [(row, prompt) for row, prompt in found if len(prompt) > room]
        if longer and (not self.config.cut_long or len(longer) == len(found)):
            row, longest = max(longer, key=lambda one: len(one[1]))
            raise UserError(
                f"{len(longer)} of {count_of(len(found), 'prompt')} {'is' if len(longer) == 1 else 'are'} longer than "
                f"{room} tokens, the longest has "
                f"{len(longest)} ({row.where}); {self._max_length} are read with the answer's "
                f"{self.settings.max_new_tokens}. Shorten them, lower max_new_tokens, raise --max-length, or give "
                "--cut-long to leave them out."
            )
        fitting = [(row, prompt) for row, prompt in found if len(prompt) <= room]
        return [row for row, _ in fitting], [prompt for _, prompt in fitting], [row.where for row, _ in longer]


STAGE = Stage(
    name="grpo",
    title="Group-relative policy optimisation",
    forms=("prompts", "messages", "preference", "prompt_completion", "alpaca"),
    task=GroupPolicyTask,
    settings=GrpoSettings,
)
