"""What the site of the documentation needs beyond `docs/`: the files of the repository that its pages link to."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_PLACE = "repository/"
"""Where they stand in the site."""
_FOLDER_PAGE = "README.md"


def on_files(files: Files, config: Any) -> Files:
    """Add every file outside of `docs/` that a page links to, and what such a page links to in turn."""
    root, waiting, seen = Path(config["docs_dir"]).parent, [], set()
    for page in files.documentation_pages():
        waiting += _outside(root, f"docs/{page.src_uri}", page.content_string)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        files.append(File.generated(config, _PLACE + name, abs_src_path=str(root / name)))
        if name.endswith(".md"):
            waiting += _outside(root, name, (root / name).read_text(encoding="utf-8"))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point the links of a page at the places that their files have in the site."""
    root, own = Path(config["docs_dir"]).parent, page.file.src_uri
    name = own.removeprefix(_PLACE) if own.startswith(_PLACE) else f"docs/{own}"

    def pointed(match: re.Match[str]) -> str:
        target = _target(root, name, match[2])
        if target is None:
            return match[0]
        place = target.removeprefix("docs/") if target.startswith("docs/") else _PLACE + target
        return match[1] + posixpath.relpath(place, posixpath.dirname(own) or ".") + match[3]

    return _LINK.sub(pointed, markdown)


def _outside(root: Path, name: str, text: str) -> list[str]:
    found = (_target(root, name, link) for _, link, _ in _LINK.findall(text))
    return [target for target in found if target is not None and not target.startswith("docs/")]


def _target(root: Path, name: str, link: str) -> str | None:
    """Return the file that a link of a page means, by its path in the repository."""
    if "://" in link or link.startswith("mailto:"):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    if (root / target).is_dir():
        target = posixpath.join(target, _FOLDER_PAGE)
    return target if (root / target).is_file() else None
