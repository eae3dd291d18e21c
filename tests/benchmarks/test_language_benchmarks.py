"""The benchmarks on language models run at a small size, write as they go, and go on where they stopped."""

import json
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def _scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_scripts")
def test_voices_are_measured_blended_and_not_measured_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import voices  # in this process: starting another takes longer than the cells

    small = ("--voices", "pirate,haiku", "--examples", "2", "--set", "steps=1", "--set", "batch_size=1")
    script = ("voices.py", *small, "--json", "cells.jsonl", "--table", "table.md")
    monkeypatch.setattr("sys.argv", [*script, "--learning-rates", "1,1e9", "--blends", "exact"])
    assert voices.main() == 0
    lines = _lines(tmp_path / "cells.jsonl")
    assert [line["kind"] for line in lines] == ["base", "voice", "voice", "voice", "voice", "blend"]
    assert ["error" in line for line in lines] == [False, False, False, True, True, False]
    base, pirate, blend = lines[0], lines[1], lines[5]
    assert (base["facts_right"], base["shares"]["plain"]) == (1, 1)  # the base answers in its own register
    assert (pirate["steps"], pirate["trainable"] > 0, pirate["file_bytes"] > 4 * pirate["trainable"]) == (1, True, True)
    assert 1 < pirate["perplexities"]["pirate"] < base["perplexities"]["pirate"]
    assert sum(blend["shares"].values()) == pytest.approx(1)
    assert set(blend["perplexities"]) == {"pirate", "haiku"}

    table = (tmp_path / "table.md").read_text()
    assert "| pirate + haiku | exact |" in table
    assert "The run's settings cannot be used" in table
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", [*script, "--blends", "exact"])
    assert voices.main() == 0
    assert _lines(tmp_path / "cells.jsonl") == lines
    assert capsys.readouterr().out.strip() == table.strip()


@pytest.mark.usefixtures("_scripts")
def test_a_sweep_is_a_cell_for_each_voice_and_refuses_unknown_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import voices

    from trainers.errors import UserError

    configs = tmp_path / "sweep.json"
    configs.write_text(json.dumps([{"learning_rate": 0.005, "run": {"steps": 7}}, {"voice": "haiku"}]))
    monkeypatch.setattr("sys.argv", ["voices.py", "--configs", str(configs), "--voices", "pirate,courtroom"])
    jobs, blends = voices.jobs_of(voices._options())
    assert blends == []
    assert [(job["kind"], job.get("voice"), job.get("run")) for job in jobs] == [
        ("base", None, None),
        ("voice", "pirate", '{"steps": 7}'),
        ("voice", "courtroom", '{"steps": 7}'),
        ("voice", "haiku", "{}"),
    ]
    configs.write_text(json.dumps([{"rate": 0.005}]))
    with pytest.raises(UserError, match="unknown keys rate"):
        voices.jobs_of(voices._options())


@pytest.mark.usefixtures("_scripts")
def test_memory_is_not_claimed_where_it_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import quantised

    monkeypatch.setattr("sys.argv", ["it", "--tiny", "--steps", "1", "--methods", "qlora,full", "--json", "a.jsonl"])
    assert quantised.main() == 0
    lines = _lines(tmp_path / "a.jsonl")
    assert [(line["method"], line["checkpointing"]) for line in lines[:2]] == [("qlora", False), ("qlora", True)]
    assert len(lines) == 8
    assert all(line["tokens_per_second"] > 0 and line["peak_bytes"] is None for line in lines)
    table = capsys.readouterr().out
    assert "memory is not measured" in table
    assert table.count("not measured |") == 16
