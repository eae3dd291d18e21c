"""The share of the subject that is left: 1 is the base's own pictures, 0 what the judge gives things not there.

With CLIP-T of the subject s and of absent things a, and means over the base's own pictures written with a bar, it is
1 + mean(s - s̄_base) / (s̄_base - ā_base). The interval is that of the differences from the base's picture of the same
prompt and seed.
"""

from pipelines.metrics._look import Look, Mean
from pipelines.metrics._metric import Metric, MetricText

_LEAST_SEEN = 0.05
"""Where the judge gives the base's own pictures no more CLIP-T than things that are not there, no share can be told."""


def _summarise(look: Look, adapter: str) -> Mean:
    shown = look.base_mean("subject_clip_t")
    seen = shown - look.base_mean("absent_clip_t")
    if seen < _LEAST_SEEN:
        return Mean()
    return Mean(
        1 + (look.mean("subject_clip_t") - shown) / seen, look.half_width(look.changes("subject_clip_t")) / seen
    )


METRIC = Metric(
    "subject_kept",
    MetricText(
        "Share of the subject kept",
        "Share of the subject: 1 (100 %) is the base's own pictures, 0 is what the judge gives things that are not "
        "there; it is empty where the judge does not see the subjects in the base's pictures.",
    ),
    short="subject kept",
    summarise=_summarise,
    needs_base=True,
    better="higher",
    share=True,
    above_columns=True,
    instead="subject_clip_t",
    place=10,
)
