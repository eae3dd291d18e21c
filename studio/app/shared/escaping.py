"""Foreign text (names of files and adapters, reasons, metadata) for components that read Markdown."""

_SIGNS = frozenset("<>&*_`[]()#!|\\~$:")


def plain_markdown(text: object) -> str:
    """Return a text in which Markdown and HTML find nothing to do; it looks as it was."""
    return "".join(f"&#{ord(sign)};" if sign in _SIGNS else sign for sign in str(text))
