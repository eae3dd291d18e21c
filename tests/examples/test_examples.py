"""Every script in examples/ runs, at a small size."""

import subprocess
import sys
from pathlib import Path

from pipelines.families import families

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def test_scripted_training_writes_an_adapter(tmp_path: Path) -> None:
    families()["sd1"].tiny(tmp_path / "tiny")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from train_style import main; "
        "main(library_folder=sys.argv[2], base=sys.argv[3], steps=2, sample_prompts=['a red boat, sea'])"
    )
    library = tmp_path / "library"
    subprocess.run([sys.executable, "-c", code, str(EXAMPLES), str(library), str(tmp_path / "tiny")], check=True)
    assert (library / "adapters" / "my-blueprint" / "adapter.json").exists()


def test_the_scripted_example_is_short() -> None:
    assert len((EXAMPLES / "train_style.py").read_text().splitlines()) < 25
