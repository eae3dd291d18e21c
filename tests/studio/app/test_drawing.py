"""What the forms of Generate and Compare ask for, without a page."""

import asyncio
from functools import partial
from pathlib import Path

import gradio as gr
import pytest

import pipelines.samplers
from pipelines.compare.grid import AXES
from pipelines.compare.index import Entry, write_index
from pipelines.compare.votes import read_votes
from pipelines.samplers import samplers
from studio.app.compare import form as compare_form
from studio.app.compare.ballot import Ballot
from studio.app.generate.form import GenerateForm
from studio.app.generate.gallery import results
from studio.app.generate.request import Drawn, Wanted, lacking_triggers, settings_of, with_triggers
from studio.app.shared.words import Words
from studio.library.library import Library
from studio.operations.compare_plan import GridOptions, axis_values
from studio.operations.stored_comparisons import DrawnComparison
from tests.apart import apart
from tests.dropped import dropped
from trainers.errors import UserError


def _wanted(**changed: object) -> Wanted:
    values: dict[str, object] = {
        "prompt": "a boat",
        "negative_prompt": "",
        "seed": 3,
        "random_seed": False,
        "count": 2,
        "num_inference_steps": 4,
        "guidance_scale": 5,
        "sampler": "auto",
        "width_px": None,
        "height_px": None,
        "base": " ",
        "beside_base": True,
        "merge": False,
        "adapters": [("one", 0.5), (None, 1.0), ("", None), ("two", -20)],
    }
    return Wanted(**{**values, **changed})  # type: ignore[arg-type]


def test_a_sampler_dropped_into_its_folder_is_a_choice_of_the_form(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    text = (
        "import dataclasses\nfrom pipelines.samplers.euler import SAMPLER as EULER\n"
        "SAMPLER = dataclasses.replace(EULER, name='zebra', title='Zebra')\n"
    )

    async def choices() -> list[str]:
        with gr.Blocks(analytics_enabled=False):
            form = GenerateForm(Library(tmp_path / "library"), Words())
        return [value for _, value in form.fields["sampler"].choices]

    # Gradio leaves the event loop open that it finds or makes; one of a thread of its own is closed.
    with dropped(pipelines.samplers, samplers, folder, text):
        assert apart(asyncio.run, choices()) == ["auto", *samplers()]
        assert "zebra" in samplers()


def test_a_form_becomes_the_jobs_arguments() -> None:
    arguments = _wanted().arguments()
    assert arguments["weights"] == {"one": 0.5, "two": -20.0}
    assert (arguments["seed"], arguments["base"], arguments["count"]) == (3, "pocket", 2)
    seeds = {_wanted(random_seed=True, seed=None).arguments()["seed"] for _ in range(8)}
    assert len(seeds) > 1


def test_all_problems_of_a_form_are_told_at_once() -> None:
    wrong = _wanted(
        seed=None,
        num_inference_steps=None,
        count=65,
        adapters=[("one", 1), ("one", 2), ("two", None), ("x", float("inf"))],
    )
    with pytest.raises(UserError) as caught:
        wrong.arguments()
    for words in ("seed is empty", "steps is empty", "count 65", "'one' is chosen twice", "'two' has no", "'x' has no"):
        assert words in str(caught.value)


def test_pairs_are_of_one_seed() -> None:
    drawn = Drawn()
    for path, seed, plain in (("a", 1, False), ("b", 2, False), ("c", 1, True), ("d", 2, True)):
        drawn.take({"event": "picture", "path": path, "seed": seed, "plain": plain})
    drawn.take({"event": "said", "text": "Loading the base pocket …"})
    drawn.take({"event": "said", "text": "Note: the prompt is too long."})
    assert [drawn.pair(number) for number in range(5)] == [("c", "a"), ("c", "a"), ("d", "b"), ("d", "b"), None]
    assert drawn.paths() == ["c", "a", "d", "b"], "by seed, and the base on the left as in the slider"
    shown = results(drawn, partial(Words().say, None))
    assert shown["gallery"]["value"][:2] == [("c", "seed 1, base"), ("a", "seed 1, with adapters")]
    assert "seed 1" in shown["slider"]["label"]
    assert not shown["first"]["visible"]
    alone = Drawn([("a", 1, False)])
    assert results(alone, partial(Words().say, None))["gallery"]["value"] == [("a", "seed 1")]
    assert drawn.notes == ["the prompt is too long."]


def test_trigger_words_are_put_before_the_prompt_once(library: Library) -> None:
    assert with_triggers("a Zig boat", ["zig", "zag", "zag"]) == "zag, a Zig boat"
    assert with_triggers(" ", ["zig"]) == "zig"
    card = library.adapters_folder / "one" / "adapter.json"
    card.write_text(card.read_text().replace('"triggers": []', '"triggers": ["zig"]'))
    assert lacking_triggers(library, {"one": 1.0, "two": 1.0, "gone": 1.0}, "a boat") == {"one": ["zig"]}
    assert lacking_triggers(library, {"one": 0.0}, "a boat") == {}


def test_only_the_studios_own_pictures_are_opened(library: Library, tmp_path: Path) -> None:
    for path in (tmp_path / "elsewhere.png", library.folder / "outputs" / ".." / ".." / "elsewhere.png"):
        with pytest.raises(UserError, match="not one of the studio's"):
            settings_of(library, str(path))


def test_the_form_knows_every_axis_and_writes_values_as_the_command_does() -> None:
    assert set(compare_form.AXES) == set(AXES)
    assert axis_values("weight", " 0, 0.5,1 ,1", "weights") == [0.0, 0.5, 1.0]
    assert axis_values("prompt", "a boat, sea\n\n a cat \na cat", "prompts") == ["a boat, sea", "a cat"]
    assert axis_values("rank", "4, 8,full", "ranks") == ["4", "8", "full"]
    with pytest.raises(UserError, match="seeds 'x'"):
        axis_values("seed", "x", "seeds")


def test_a_grid_needs_something_and_has_a_limit() -> None:
    with pytest.raises(UserError, match="nothing to compare"):
        GridOptions(["a boat"]).cells()
    with pytest.raises(UserError, match="no prompt"):
        GridOptions([], ["one"]).cells()
    with pytest.raises(UserError, match="would have 3000 pictures"):
        GridOptions(["a boat"], ["one"], weights=[0, 0.5, 1], seeds=range(1000)).cells()
    assert GridOptions(["a boat"], ["one"]).digest() == GridOptions(("a boat",), ("one",)).digest()
    assert GridOptions(["a boat"], ["one"]).digest() != GridOptions(["a boat"], ["two"]).digest()


def test_a_ballot_ends_and_ignores_second_answers(tmp_path: Path) -> None:
    folder = tmp_path / "grid-cells"
    folder.mkdir()
    write_index(folder, [Entry(f"{look}.png", look, "a boat", 0, "") for look in ("base", "one", "two")])
    ballot = Ballot(DrawnComparison(tmp_path, "", "", "", (), ()))
    first, second, third = ballot.open_pairs()
    ballot.vote(first, "left")
    ballot.vote(first, "right")  # a second click before the next pair was shown
    ballot.vote(second, "skip")
    assert ballot.open_pairs() == [third]
    ballot.vote(third, "tie")
    assert ballot.open_pairs() == []
    assert [vote.choice for vote in read_votes(folder)] == ["left", "tie"]
    assert {row[0] for row in ballot.results()} <= {"base", "one", "two"}
    assert len(Ballot(ballot.comparison).open_pairs()) == 1, "what was skipped comes back another time"
    with pytest.raises(UserError, match="none of left"):
        ballot.vote(second, "both")
