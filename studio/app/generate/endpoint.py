"""The endpoint ``/generate``, for programs."""

import inspect
from pathlib import Path

import gradio as gr

from pipelines.samplers import AUTO
from studio.app.generate.form import GenerateForm
from studio.app.generate.request import Wanted
from studio.app.shared.desk import Desk, told


def place_endpoint(desk: Desk, form: GenerateForm) -> None:
    """Offer ``generate``, which gives the pictures' files; its defaults are those of the form."""

    def generate(
        prompt: str,
        adapters: dict[str, float] | None = None,
        seed: int = 0,
        num_inference_steps: int = 20,
        guidance_scale: float = 5.0,
        negative_prompt: str = "",
        count: int = 1,
        width_px: int | None = None,
        height_px: int | None = None,
        base: str = "pocket",
        beside_base: bool = False,
        merge: bool = False,
        sampler: str = AUTO,
    ) -> list[str]:
        """Draw pictures; `adapters` is name -> weight, and with `beside_base` the base's pictures come last.

        With `merge` the adapters are in the base's weights while it draws: quicker for several pictures.
        """
        with told():
            asked = Wanted(
                prompt=prompt,
                negative_prompt=negative_prompt,
                seed=seed,
                random_seed=False,
                count=count,
                num_inference_steps=num_inference_steps,
                guidance_scale=guidance_scale,
                sampler=sampler,
                width_px=width_px,
                height_px=height_px,
                base=base,
                beside_base=beside_base,
                merge=merge,
                adapters=list((adapters or {}).items()),
            )
            events = desk.engine.run("generate", asked.arguments())
            return [str(Path(event["path"])) for event in events if event["event"] == "picture"]

    own = {
        "adapters": gr.JSON(visible=False),
        "width_px": gr.Number(None, visible=False, precision=0),
        "height_px": gr.Number(None, visible=False, precision=0),
        "beside_base": gr.Checkbox(False, visible=False),
        "merge": gr.Checkbox(False, visible=False),
        "sampler": gr.Textbox(AUTO, visible=False),
    }
    fields = {**form.fields, **own}
    inputs = {name: fields[name] for name in inspect.signature(generate).parameters}
    files = gr.File(visible=False, file_count="multiple")
    gr.Button(visible=False).click(
        generate, inputs_kwargs=inputs, outputs=files, api_name="generate", concurrency_limit=16
    )
