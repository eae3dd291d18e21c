"""What the studio changes in Gradio before it builds a page with it: each a hole, a leak, or a dead end."""

import json
from pathlib import Path
from typing import Any, NoReturn


def repair_gradio() -> None:
    """Make all changes, once Gradio is imported."""
    forbid_fetching()
    remove_torn_uploads()
    show_errors_as_text()
    send_any_number()
    say_what_a_number_may_be()


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


def send_any_number() -> None:
    """Let an answer hold a number beyond 64 bits, which a user may have typed.

    Gradio ends the page's stream of answers over it, and from then on the page is dead without a word.
    """
    from gradio import routes

    class AnyNumber:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        @staticmethod
        def dumps(content: Any, default: Any = None, option: int | None = None) -> bytes:
            try:
                return bytes(inner.dumps(content, default=default, option=option))
            except TypeError as error:
                if "64-bit" not in str(error):
                    raise
                return json.dumps(content, default=default).encode()

    inner, routes.orjson = routes.orjson, AnyNumber()


def say_what_a_number_may_be() -> None:
    """Name the field and its bounds where Gradio says that a value is greater than a maximum, with a traceback."""
    from gradio import Number, Slider, exceptions

    def checked(component: Any, given: Any) -> Any:
        if given is None:  # an emptied field; what needs a number says so itself
            return None
        bounds = (component.minimum, component.maximum)
        low, high = (text if bound is not None else "" for text, bound in zip(_BOUNDS, bounds, strict=True))
        outside = (low and given < bounds[0]) or (high and given > bounds[1])
        if outside:
            expected = " and ".join(filter(None, (low.format(bounds[0]), high.format(bounds[1]))))
            name = str(getattr(component.label, "key", component.label)).rpartition(".")[2].replace("_", " ")
            raise exceptions.Error(
                f"The number {given} of “{name}” cannot be used: {expected} is expected.", print_exception=False
            )
        return Number.round_to_precision(given, component.precision)

    Number.preprocess = checked
    Slider.preprocess = checked


_BOUNDS = ("at least {:,}", "at most {:,}")
