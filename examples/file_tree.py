"""Print the file tree with one line per file, taken from each file's docstring; `--write` puts it into the README.

python examples/file_tree.py --write
"""

import argparse
import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- tree -->", "<!-- /tree -->"
FOLDERS = ("trainers", "pipelines", "studio", "examples")
FOLDED = {
    "examples/pocket/world": "the drawing program: nouns, settings, captions, one file per style",
    "examples/pocket/training": "pieces that the pocket models' training scripts share",
    "examples/pocket/text_world": "the grammar of the pocket language model's texts, and the voices to learn",
    "examples/texts": "three voices, prompts, moods and preference pairs, each with held-out examples",
    "examples/styles": "six held-out styles, 24 captioned pictures each",
    "examples/subjects": "two characters, each seen in several scenes",
    "examples/results": "tables and pictures that the scripts here measured",
    "pipelines/pocket": "the shipped models: the base in diffusers layout, and the judge",
}
_WIDTH = 46


def file_tree() -> str:
    """Return the tree as text."""
    lines: list[str] = []
    for folder in FOLDERS:
        lines.append(f"{folder}/")
        lines += _below(ROOT / folder, depth=1)
    lines += [
        _line("tests/", 0, "mirrors the packages; one contract test per registry"),
        _line("constraints.txt", 0, "every pinned version"),
        _line("Makefile", 0, "make demo, make test, make setup"),
    ]
    return "\n".join(lines)


def readme_with_tree(readme: str) -> str:
    """Return the README's text with the tree between its markers."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n```\n{file_tree()}\n```\n{END}{after}"


def _below(folder: Path, depth: int) -> list[str]:
    lines: list[str] = []
    files = sorted(path for path in folder.glob("*.py"))
    lines += [_line(path.name, depth, _summary(path)) for path in files if path.name != "__init__.py"]
    for below in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"):
        name = below.relative_to(ROOT).as_posix()
        if name in FOLDED:
            lines.append(_line(f"{below.name}/", depth, FOLDED[name]))
        elif any(below.glob("*.py")):
            own = below / "__init__.py"
            lines.append(_line(f"{below.name}/", depth, _summary(own) if own.exists() else ""))
            lines += _below(below, depth + 1)
    return lines


def _line(name: str, depth: int, text: str) -> str:
    return f"{'  ' * depth + name:<{_WIDTH - 16}} {text}".rstrip()


def _summary(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = docstring.split("\n\n")[0].replace("\n", " ").replace("``", "")
    sentence = first.partition(". ")[0].rstrip(".")
    part = sentence.partition("; ")[0]
    sentence = part if part.count("[") == part.count("]") else sentence.partition(": ")[0]
    for cut in (": ", ", "):
        if len(sentence) > _WIDTH * 2:
            sentence = sentence.partition(cut)[0]
    return sentence


def main() -> None:
    """Print the tree, or write it into the README."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        path = ROOT / "README.md"
        path.write_text(readme_with_tree(path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(file_tree())


if __name__ == "__main__":
    main()
