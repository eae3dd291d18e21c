"""blend, inspect, compare and vote on the command line, on the toy base."""

import csv
import dataclasses
import io
import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from pipelines.families import LoadedBase
from pipelines.image_file import read_settings
from pipelines.judge import Judge
from pipelines.recipe import parse_recipe, read_recipe
from studio.cli.main import main
from studio.library.library import Library
from tests.support import draw_pictures, random_adapter
from trainers.adapter import Adapter, write_adapter
from trainers.data.images import open_image
from trainers.errors import UserError

CAPTURE = pytest.CaptureFixture[str]


@pytest.fixture
def options(
    base: LoadedBase, tiny_base: Path, tiny_judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """A library of two styles with references; the options that name base and judge."""
    library = Library(tmp_path / "library")
    monkeypatch.setenv("STUDIO_LIBRARY", str(library.folder))
    judge = Judge(str(tiny_judge), device="cpu")
    pictures = [open_image(path) for path in sorted(draw_pictures(tmp_path / "p", 4).glob("*.png"))]
    for seed, name in enumerate(("one", "two")):
        adapter = random_adapter(base, name, seed=seed, size=0.3, targets=("attention",))
        references = {judge.fingerprint: judge.embed_images(pictures[seed : seed + 3])}
        write_adapter(library.adapters_folder / name, Adapter(adapter.card, adapter.parts, references))
    return ["--base", str(tiny_base), "--device", "cpu"]


def test_blend_takes_settings_blocks_parts_and_recipes(options: list[str], tmp_path: Path, capsys: CAPTURE) -> None:
    ties = [
        "--blend",
        "ties",
        "--setting",
        "density=0.4",
        "--setting",
        "rank=4",
        "--part-weight",
        "one=text_encoder:0.5",
    ]
    assert main(["blend", "one:0.6", "two:0.4", "--name", "t", *ties, "--dtype", "float16", *options]) == 0
    said = capsys.readouterr().out
    assert "From the plain sum" in said
    assert "layers found in the base, 0 not" in said
    folder = Library(tmp_path / "library").find("t")
    recipe = read_recipe(folder / "recipe.yaml")
    assert (recipe.blend, recipe.settings, recipe.dtype) == ("ties", {"density": 0.4, "rank": 4}, "float16")
    assert main(["blend", "t", "--without", "one", "--name", "rest"]) == 2
    assert "studio blend two:0.4 --name rest" in capsys.readouterr().err
    assert main(["blend", "--recipe", str(folder / "recipe.yaml"), "--name", "again", *options]) == 0
    same = [
        (tmp_path / f"library/adapters/{name}/unet/adapter_model.safetensors").read_bytes() for name in ("t", "again")
    ]
    assert same[0] == same[1]
    assert main(["blend", "one:1", "two:1", "--name", "e", "--blocks", "one=mid_block:0,default:1"]) == 0
    assert main(["blend", "e", "--without", "one", "--name", "rest"]) == 0
    assert main(["show", "rest"]) == 0
    out = tmp_path / "live.png"
    assert (
        main(["generate", "x", "--recipe", str(folder / "recipe.yaml"), "--steps", "1", "--out", str(out), *options])
        == 0
    )
    settings = read_settings(out)
    assert settings is not None
    assert settings["recipe"]["blend"] == "ties"


def test_the_proof_names_every_parts_blend_and_a_sum_of_nothing_is_refused(
    options: list[str], tmp_path: Path, capsys: CAPTURE
) -> None:
    assert main(["blend", "one", "two", "--name", "p", "--blend", "unet=ties", *options]) == 0
    assert "the formula of 'ties' (unet), 'exact' (text_encoder) in float64" in capsys.readouterr().out
    library = Library(tmp_path / "library")
    write_adapter(library.adapters_folder / "copy", library.read("one"))
    assert main(["blend", "one:1", "copy:-1", "--name", "n"]) == 2
    assert "The sum of copy:-1, one:1 is zero" in capsys.readouterr().err
    assert library.names() == ["copy", "one", "p", "two"]
    assert main(["blend", "one:1", "copy:-0.999", "--name", "n"]) == 0


def test_the_proof_is_printed_by_block_or_by_layer(options: list[str], capsys: CAPTURE) -> None:
    """A block's line holds the worst of its layers' lines."""
    tables = []
    for name, more in (("b", []), ("l", ["--layers"])):
        assert main(["blend", "one:0.6", "two:-1", "--name", name, "--blend", "svd", *more, *options,
                     "--setting", "rank=3"]) == 0  # fmt: skip
        said = capsys.readouterr().out.splitlines()
        tables.append([line.split() for line in said if line.startswith(("unet ", "text_encoder "))])
    blocks, layers = tables
    assert len(blocks) < len(layers)
    for part, block, count, rank, error, _, energy in blocks:
        own = [line for line in layers if line[0] == part and f".{line[1]}.".find(f".{block}.") >= 0]
        assert len(own) == int(count)
        assert {line[2] for line in own} == {rank} == {"3"}
        assert max(float(line[3]) for line in own) == float(error) > 0.1
        assert min(float(line[5].rstrip("%")) for line in own) == float(energy.rstrip("%")) < 99
    assert main(["resize", "b", "--name", "r", "--rank", "2"]) == 0
    said = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in said if line.startswith(("unet ", "text_encoder "))]
    assert [(line[:3], line[3:5]) for line in rows] == [(line[:3], ["3", "2"]) for line in blocks]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"inputs": []}, ["inputs = []: should hold at least one adapter"]),
        (5, ["should be settings with values"]),
        (
            {
                "inputs": [{"adapter": "a", "wieght": 1, "blocks": "x", "schedule": {"stpo": 1}}],
                "blned": "x",
                "seed": -2,
            },
            [
                "seed = -2: at least -1 is expected; raise it",
                "inputs.0.blocks = 'x': should be a list of weights, or names",
                "inputs.0.schedule.stpo: setting 'stpo' is unknown. Did you mean 'stop'",
                "inputs.0.wieght: setting 'wieght' is unknown. Did you mean 'weight'?",
                "blned: setting 'blned' is unknown. Did you mean 'blend'",
            ],
        ),
        ({"inputs": [{"adapter": "a", "blocks": [1, "x"]}]}, ["inputs.0.blocks.1 = 'x': a number is expected"]),
        ({"inputs": [{"adapter": "a", "blocks": {"M00": "x"}}]}, ["inputs.0.blocks.M00 = 'x': a number is expected"]),
        (
            {"inputs": [{"adapter": "a"}], "blend": "ties", "settings": {"densty": 1}},
            ["densty: setting 'densty' is unknown. Did you mean 'density'"],
        ),
    ],
)
def test_mistakes_in_a_recipe_are_one_sentence_each(values: object, said: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_recipe(values)
    problems = str(caught.value).split("\n  - ")[1:]
    assert len(problems) == len(said)
    for problem, start in zip(problems, said, strict=True):
        assert start in problem
        assert "tuple" not in problem


def test_search_finds_weights_keeps_trials_and_goes_on(
    options: list[str], base: LoadedBase, tiny_judge: Path, tmp_path: Path, capsys: CAPTURE
) -> None:
    draw = ["--prompt", "a boat", "--steps", "1", "--judge", str(tiny_judge), *options]
    assert main(["blend", "one", "two", "--name", "s", "--search", "3", *draw]) == 0
    path = tmp_path / "library/searches/s/trials.jsonl"
    trials = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(trials) == 3
    for trial in trials:
        assert trial["score"] == pytest.approx(min(trial["scores"].values()))
        assert set(trial["scores"]) == {"one", "two", "prompt"}
    best = max(trials, key=lambda trial: trial["score"])
    recipe = Library(tmp_path / "library").card("s").recipe
    assert recipe is not None
    assert {parent.name: parent.weight for parent in recipe.parents} == best["weights"]
    assert main(["remove", "s"]) == 0
    capsys.readouterr()
    assert main(["blend", "one", "two", "--name", "s", "--search", "4", *draw]) == 0
    assert "3 of them done" in capsys.readouterr().out
    again = [json.loads(line) for line in path.read_text().splitlines()]
    assert again[:3] == trials
    assert len(again) == 4
    assert base.fingerprint in again[0]["key"]
    library = Library(tmp_path / "library")
    two = library.read("two").card
    shutil.rmtree(library.find("two"))
    write_adapter(library.adapters_folder / "two", dataclasses.replace(library.read("one"), card=two))
    path.parent.rename(path.parent.with_name("s2"))
    assert main(["blend", "one", "two", "--name", "s2", "--search", "1", *draw]) == 0
    assert "1 trial of 1 picture, 0 of them done" in capsys.readouterr().out


def test_inspect_prints_and_draws(options: list[str], tmp_path: Path, capsys: CAPTURE) -> None:
    base = options[:2]
    out = tmp_path / "heat.png"
    assert main(["inspect", "one", "two", "--out", str(out), *base]) == 0
    said = capsys.readouterr().out
    head, *lines = said.splitlines()
    assert head.split()[:3] == ["block", "layers", "cosine"]
    blocks = [line for line in lines if line.startswith(("unet ", "text_encoder "))]
    assert len(blocks) < 15
    assert "attn1.to_q" not in said
    assert "--layers prints a line for each layer." in lines
    with Image.open(out) as picture:
        assert picture.width > 500
    assert main(["inspect", "one", "two", "--layers", *base]) == 0
    layers = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("unet ", "text_encoder "))]
    assert f"{len(layers)} layers are touched by both." in said
    assert sum(int(line.split()[2]) for line in blocks) == len(layers)
    assert any(line.startswith("unet mid_block.attentions.0.transformer_blocks.0.attn1.to_q ") for line in layers)
    cosines = [float(line.split()[2]) for line in layers if line.startswith("unet mid_block.")]
    (middle,) = (float(line.split()[3]) for line in blocks if line.startswith("unet mid_block "))
    assert middle == pytest.approx(sum(cosines) / len(cosines), abs=1e-4)
    assert main(["inspect", "one", *base]) == 0
    assert "mean stored rank" in capsys.readouterr().out


def test_compare_draws_pages_says_the_cost_resumes_and_takes_votes(
    options: list[str], tiny_judge: Path, tmp_path: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "g.png"
    grid = [
        "compare",
        "--prompt",
        "a boat",
        "--mix",
        "one:0.5,two:0.5",
        "--weights",
        "1",
        "--seeds",
        "0,1",
        "--steps",
        "1",
    ]
    more = ["--blend", "exact", "--blend", "dare", "--block", "all", "--block", "M00", "--pages", "block"]
    whole = [*grid, *more, "--judge", str(tiny_judge), "--out", str(out), *options]
    assert main([*whole, "--cost"]) == 0
    assert "10 pictures, 0 of them drawn already; 10 to draw: 20 evaluations" in capsys.readouterr().out
    assert not out.exists()
    assert main(whole) == 0
    capsys.readouterr()
    assert main(whole) == 0
    assert "10 of them drawn already; 0 to draw" in capsys.readouterr().out
    written = {path.name for path in tmp_path.glob("g*") if path.is_file()}
    assert written == {"g-1.png", "g-2.png", "g.csv", "g-means.csv", "g.html"}
    page = (tmp_path / "g.html").read_text()
    assert "tiny-judge:" in page
    linked = [unquote(file) for file in re.findall(r"(?:href|src)='([^']*)'", page)]
    assert set(linked) > {"g-1.png", "g-2.png", "g.csv", "g-means.csv"}
    assert all((tmp_path / file).is_file() for file in linked)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "g.csv").read_text())))
    assert page.count("<img loading='lazy' ") == len(rows) == 12
    places = re.findall(r"src='([^']*)'[^>]* alt='([^']*)'", page)
    for row, (file, alt) in zip(rows, places, strict=True):
        assert alt == f"{row['row']}, {row['column']}"
        drawn = read_settings(tmp_path / unquote(file))
        assert drawn is not None
        assert (str(drawn["seed"]), bool(drawn.get("recipe") or drawn["adapters"])) == (
            row["seed"],
            bool(row["adapters"]),
        )
        bare = row["column"] == "base"
        look = ("", "0", "") if bare else ("one:0.5,two:0.5", "1", "M00" if row["page"] == "block M00" else "all")
        assert (row["adapter"], row["weight"], row["block"]) == look
    assert "rank" not in rows[0]
    monkeypatch.setattr("sys.stdin", io.StringIO("l\nx\nr\ns\nt\n"))
    assert main(["vote", str(tmp_path / "g-cells")]) == 0
    votes = [json.loads(line) for line in (tmp_path / "g-cells/votes.jsonl").read_text().splitlines()]
    assert [vote["choice"] for vote in votes] == ["left", "right", "tie"]
    assert "95 % interval" in capsys.readouterr().out
    assert not (tmp_path / "g-cells/pair.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["blend", "--name", "x"], "nothing to blend"),
        (["blend", "one", "--name", "x", "--blend", "tise"], "Did you mean 'ties'"),
        (["blend", "one", "--name", "x", "--setting", "density"], "must be KEY=VALUE"),
        (["blend", "one", "--name", "x", "--blocks", "two=1"], "must begin with one of one"),
        (["blend", "one", "--name", "x", "--blocks", "one=1,2"], "2 block weights"),
        (["blend", "one", "--name", "x", "--blocks", "one=mid_blockk:0,default:1"], "'mid_blockk' fits no layer"),
        (["compare", "--prompt", "x", "--adapter", "one", "--judge", "JUDGE", "--block=-NOPE"], "'NOPE' fits no"),
        (["blend", "one", "--name", "x", "--recipe", "r"], "leave one away"),
        (["blend", "--name", "x", "--recipe", "r", "--seed", "0"], "--seed cannot be used with --recipe"),
        (
            ["blend", "one", "--name", "x", "--without", "y", "--blend", "ties", "--seed", "0"],
            "--blend, --seed cannot be used",
        ),
        (
            ["blend", "one", "--name", "x", "--without", "y", "--dtype", "float16"],
            "--dtype cannot be used with --without",
        ),
        (["blend", "one", "--name", "x", "--blend", "ties,dare"], "names 2 blends"),
        (["blend", "one", "--name", "x", "--blend", "unet=ties,unet=dare"], "names unet twice"),
        (["blend", "one", "--name", "x", "--search", "0", "--prompt", "p"], "at least one trial"),
        (
            ["blend", "one", "--name", "x", "--prompt", "p", "--goal", "one:1"],
            "--prompt, --goal can only be used with --search",
        ),
        (["compare", "--prompt", "x", "--adapter", "one", "--methods", "a,b"], "has nothing to fill"),
        (["vote", ".", "--count", "-3"], "--count -3"),
        (["blend", "one", "two", "--name", "x", "--without", "one"], "takes a parent out of one blend"),
        (["blend", "one", "--name", "x", "--search", "2"], "one --prompt"),
        (["blend", "one", "--name", "x", "--search", "2", "--prompt", "p", "--goal", "x:1"], "--goal x:1"),
        (["inspect", "one", "two", "three"], "one is measured, or two"),
        (["inspect", "one", "--out", "x.jpg"], "must be a .png"),
        (["generate", "x", "--recipe", "r", "--adapter", "one"], "not both"),
        (["vote", "nowhere"], "is not a folder"),
        (["compare", "--prompt", "x", "--adapter", "one@5", "--judge", "JUDGE"], "has no checkpoint of step 5"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    options: list[str], tiny_judge: Path, arguments: list[str], said: str, capsys: CAPTURE
) -> None:
    arguments = [str(tiny_judge) if item == "JUDGE" else item for item in arguments]
    own_base = [] if arguments[0] in ("vote",) else options if arguments[0] != "inspect" else options[:2]
    assert main([*arguments, *own_base]) == 2
    assert said in capsys.readouterr().err
