"""The app under load, a small version of ``examples/app_load.py``."""

import subprocess
import sys
from pathlib import Path

_SCRIPT = Path(__file__).resolve().parents[3] / "examples" / "app_load.py"


def test_clients_at_once_cancel_storms_and_a_killed_process_mix_nothing_up(tmp_path: Path) -> None:
    table = tmp_path / "web.md"
    command = [sys.executable, str(_SCRIPT), "--clients", "6", "--cancels", "10", "--drawings-only"]
    subprocess.run([*command, "--output", str(table)], check=True, stdout=subprocess.DEVNULL)
    rows = dict(line.strip("| ").split(" | ") for line in table.read_text().splitlines() if line.startswith("| "))
    right = "6 pictures of which 0 not their own, 0 told why not, 0 errors without a sentence, 0 hung"
    assert rows["6 clients at once"] == right
    assert rows["10 drawings begun and taken back"] == "0 hung, 0 refused"
    assert rows["picture after the storm as before it"] == "yes"
    killed = rows["6 clients, inference process killed"]
    assert " of which 0 not their own" in killed
    assert "0 errors without a sentence, 0 hung" in killed
    assert rows["picture after that as before it"] == "yes"
