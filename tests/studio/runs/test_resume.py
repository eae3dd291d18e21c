"""A run that was stopped or killed ends bit-equal to one that never was: adapter, optimizer, metrics and previews."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from studio.cli.main import main
from studio.library.library import Library
from studio.report import Quiet
from studio.runs.run import Run, create_run, execute
from tests.studio.runs.kill_sweep import result
from tests.support import content_of, draw_pictures
from trainers.config import RunConfig, parse_config
from trainers.errors import UserError

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def config(base: Path, pictures: Path, **values: Any) -> RunConfig:
    usual = {"base": str(base), "data": str(pictures), "name": "style", "device": "cpu", "batch_size": 1}
    return parse_config({**usual, "sample_prompts": ["a red boat"], "steps": 2, **values})


@pytest.mark.parametrize(
    ("settings", "stride"),
    [
        ({"steps": 2, "checkpoint_every": 1}, 23),
        ({"steps": 2, "checkpoint_every": 1, "gradient_accumulation_steps": 3, "parts": {"unet": {}}}, 61),
    ],
    ids=["both parts", "frozen text encoder and accumulation"],
)
def test_a_run_killed_while_it_writes_ends_as_if_never_killed(
    tiny_base: Path, pictures: Path, tmp_path: Path, settings: dict[str, Any], stride: int
) -> None:
    answer = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "tests.studio.runs.kill_sweep",
                str(tiny_base),
                str(pictures),
                str(tmp_path / "sweep"),
            ),
            *(json.dumps({"batch_size": 1, "sample_prompts": ["a red boat"], **settings}), str(stride)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert answer.returncode == 0, answer.stderr
    counts = json.loads(answer.stdout)
    assert counts["calls"] > 100
    assert counts["not_killed"] == []
    assert counts["wrong"] == [], answer.stderr
    assert counts["survived"] == counts["kills"]
    assert counts["expected"]["leftovers"] == []
    assert counts["expected"]["state"] == {"status": "done", "step": 2, "total": 2}


def studio(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "import torch, sys; torch.set_num_threads(1); from studio.cli.main import main; "
               "sys.exit(main())", *arguments]  # fmt: skip
    return subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_steps(run: Run, process: subprocess.Popen[str], steps: int) -> None:
    metrics = run.folder / "metrics.jsonl"
    while not metrics.exists() or len(metrics.read_text().splitlines()) < steps:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_a_run_that_was_stopped_and_then_killed_ends_bit_equal(tiny_base: Path, pictures: Path, tmp_path: Path) -> None:
    settings = {"steps": 14, "checkpoint_every": 5}
    whole = Library(tmp_path / "whole")
    execute(create_run(whole, config(tiny_base, pictures, **settings)), Quiet())

    library = Library(tmp_path / "broken")
    run = create_run(library, config(tiny_base, pictures, **settings))
    resume = ("train", "--resume", "style", "--library", str(library.folder))
    process = studio(*resume)
    wait_for_steps(run, process, 3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    stopped = run.state()
    assert stopped["status"] == "stopped"
    assert 3 <= stopped["step"] < 14
    assert not library.names()

    process = studio(*resume)
    wait_for_steps(run, process, stopped["step"] + 2)
    process.kill()
    process.communicate()
    assert run.state()["status"] == "running"

    assert execute(run, Quiet()) is not None
    assert result(library.folder) == result(whole.folder)
    with pytest.raises(UserError, match="is done; there is nothing to resume"):
        execute(run, Quiet())


@pytest.fixture
def stopped(tiny_base: Path, pictures: Path, tmp_path: Path) -> Run:
    """A run that was stopped after its first step."""
    run = create_run(Library(tmp_path / "library"), config(tiny_base, pictures, steps=3))
    assert execute(run, Quiet(), should_stop=lambda: True) is None
    assert run.state()["step"] == 1
    return run


def test_changed_pictures_base_or_settings_are_not_resumed(stopped: Run, pictures: Path, tmp_path: Path) -> None:
    caption = pictures / "0.txt"
    before = caption.read_text()
    caption.write_text("another caption")
    with pytest.raises(UserError, match="its pictures changed since it began"):
        execute(stopped, Quiet())
    caption.write_text(before)

    draw_pictures(tmp_path / "other", 9)
    (pictures / "extra.png").write_bytes((tmp_path / "other/8.png").read_bytes())
    (pictures / "extra.txt").write_text("x")
    with pytest.raises(UserError, match="its pictures changed"):
        execute(stopped, Quiet())
    (pictures / "extra.png").unlink()

    path = stopped.folder / "config.yaml"
    text = path.read_text()
    path.write_text(text.replace("weight_decay: 0.01", "weight_decay: 0.02"))
    with pytest.raises(UserError, match="its settings changed"):
        execute(stopped, Quiet())
    path.write_text(text)

    from pipelines.bases import load_base, quiet_libraries

    retrained = load_base(stopped.config().base, device="cpu")
    with quiet_libraries():
        retrained._pipeline.save_pretrained(tmp_path / "base")  # type: ignore[attr-defined]
        weights = tmp_path / "base/unet/diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(bytes(content))
    path.write_text(text.replace(stopped.config().base, str(tmp_path / "base")))
    with pytest.raises(UserError, match="its base changed"):
        execute(stopped, Quiet())
    path.write_text(text)
    assert execute(stopped, Quiet()) is not None
    assert stopped.state()["status"] == "done"


def test_two_processes_never_work_in_one_run(stopped: Run, capsys: pytest.CaptureFixture[str]) -> None:
    from trainers.storage import folder_lock

    before = content_of(stopped.folder)
    with folder_lock(stopped.folder):
        with pytest.raises(UserError, match="Another run is working in"):
            execute(stopped, Quiet())
        with pytest.raises(UserError, match="Another run is working in"):
            stopped.library.remove("style")
        assert main(["train", "--resume", "style", "--library", str(stopped.library.folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert content_of(stopped.folder) == before


def test_a_name_that_is_taken_is_refused_and_says_how_to_go_on(stopped: Run) -> None:
    before = content_of(stopped.library.folder)
    with pytest.raises(UserError, match=r"There is a run 'style' already \(stopped\)\. Choose another --name"):
        create_run(stopped.library, stopped.config())
    assert content_of(stopped.library.folder) == before


def test_metrics_torn_by_a_kill_are_done_again(stopped: Run, tiny_base: Path, pictures: Path, tmp_path: Path) -> None:
    whole = create_run(Library(tmp_path / "whole"), config(tiny_base, pictures, steps=3))
    execute(whole, Quiet())
    with open(stopped.folder / "metrics.jsonl", "ab") as stream:
        stream.write(b'{"step": 2, "loss": 0.5}\n{"step": 3, "lo\xff')
    execute(stopped, Quiet())
    assert result(stopped.library.folder) == result(whole.library.folder)
