"""The endpoint ``/compare``, for programs."""

import inspect
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.app.shared.desk import Desk, told
from studio.operations.stored_comparisons import find_comparison


def place_endpoint(desk: Desk) -> None:
    """Offer ``compare``, which gives the files and the table of means."""
    compare = _Endpoint(desk).compare
    plain = {
        "num_inference_steps": gr.Number(20, precision=0, visible=False),
        "guidance_scale": gr.Number(5, visible=False),
        "negative_prompt": gr.Textbox("", visible=False),
        "with_base": gr.Checkbox(True, visible=False),
        "base": gr.Textbox("pocket", visible=False),
        "judge": gr.Textbox("auto", visible=False),
    }
    names = inspect.signature(compare).parameters
    inputs = {name: plain[name] if name in plain else gr.JSON(visible=False) for name in names}
    outputs = [gr.File(visible=False, file_count="multiple"), gr.JSON(visible=False)]
    gr.Button(visible=False).click(
        compare, inputs_kwargs=inputs, outputs=outputs, api_name="compare", concurrency_limit=16
    )


@dataclass(frozen=True)
class _Endpoint:
    _desk: Desk

    def compare(
        self,
        prompts: list[str],
        adapters: list[str],
        weights: list[float] | None = None,
        seeds: list[int] | None = None,
        rows: list[str] | None = None,
        columns: list[str] | None = None,
        pages: list[str] | None = None,
        more: dict[str, list[Any]] | None = None,
        mixtures: list[str] | None = None,
        num_inference_steps: int = 20,
        guidance_scale: float = 5.0,
        negative_prompt: str = "",
        with_base: bool = True,
        base: str = "pocket",
        judge: str = "auto",
        subjects: list[str] | None = None,
    ) -> tuple[list[str], Any]:
        """Draw and score a grid; `more` is axis -> values, `subjects` what to keep of each prompt.

        Returns the files, and the means with their heads first.
        """
        given: dict[str, Any] = {
            "weights": weights,
            "seeds": seeds,
            "rows": rows,
            "columns": columns,
            "pages": pages,
            "more": more,
            "mixtures": mixtures,
            "subjects": subjects,
        }
        with told():
            arguments: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
            arguments |= {
                "prompts": prompts,
                "adapters": adapters,
                "num_inference_steps": int(num_inference_steps),
                "guidance_scale": guidance_scale,
            }
            arguments |= {"negative_prompt": negative_prompt, "with_base": with_base, "base": base, "judge": judge}
            found = self._desk.engine.result("compare", arguments)
            return found["files"], find_comparison(self._desk.library, found["name"]).means()
