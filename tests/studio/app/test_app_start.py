"""How soon the app can be used, a small version of ``benchmarks/app_start.py``."""

import subprocess
import sys
from pathlib import Path

from studio.app.tabs import tabs

_SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "app_start.py"


def test_the_start_is_measured_and_a_tab_opens_with_few_events(tmp_path: Path) -> None:
    table = tmp_path / "start.md"
    subprocess.run([sys.executable, str(_SCRIPT), "--starts", "1", "--output", str(table)], check=True)
    rows = dict(line.strip("| ").split(" | ") for line in table.read_text().splitlines() if line.startswith("| "))
    assert float(rows["seconds until it answers"]) <= float(rows["seconds until the first form can be used"])
    for name in tabs():
        posted, _ = rows[f"opening {name}: events posted, seconds of script"].split(", ")
        most = 60 if name == "runs" else 12  # Runs looks for news each second
        assert 0 < int(posted) < most, f"{name} posts {posted} events"
