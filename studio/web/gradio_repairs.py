"""What the studio changes in Gradio before it builds a page with it: each a hole, or a leak."""

from pathlib import Path
from typing import Any, NoReturn


def repair_gradio() -> None:
    """Make all changes, once Gradio is imported."""
    forbid_fetching()
    remove_torn_uploads()
    show_errors_as_text()


def forbid_fetching() -> None:
    """Keep Gradio from fetching the address that somebody hands in where a file is expected."""
    from gradio import exceptions, processing_utils

    def refuse(url: str, *_: object, **__: object) -> NoReturn:
        raise exceptions.Error(f"The address {url} is not fetched. Upload the file instead.", print_exception=False)

    async def refuse_later(url: str, *_: object, **__: object) -> NoReturn:
        refuse(url)

    processing_utils.ssrf_protected_download = processing_utils.save_url_to_cache = refuse
    processing_utils.async_ssrf_protected_download = refuse_later


def remove_torn_uploads() -> None:
    """Let nothing of an upload stay that its sender gave up; Gradio removes only what was too large or malformed."""
    from gradio.route_utils import GradioMultiPartParser

    parse = GradioMultiPartParser.parse

    async def parse_or_remove(parser: Any) -> Any:
        try:
            return await parse(parser)
        except BaseException:  # the sender is gone, or the app is being closed
            for file in parser._files_to_close_on_error:
                file.close()
                Path(file.name).unlink(missing_ok=True)
            raise

    GradioMultiPartParser.parse = parse_or_remove


def show_errors_as_text() -> None:
    """Keep what an error quotes from becoming part of the page, which shows errors as HTML, cleaned of scripts."""
    from gradio import queueing, utils

    tell = utils.error_payload

    def tell_as_text(error: BaseException | None, show_error: bool) -> dict[str, Any]:
        content = dict(tell(error, show_error))
        if content["error"] is not None:
            content["error"] = str(content["error"]).replace("<", "&lt;")
        return content

    utils.error_payload = queueing.error_payload = tell_as_text
