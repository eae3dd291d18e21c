"""PEFT's tuners that are no methods here, each with its reason; a test tells when a new PEFT brings another."""

from collections.abc import Mapping

_OWN = "here by the same name as a tuner of our own: PEFT's is a wrapper around language models alone"
_TASKS = "needs the number of a task with every example"
_TABLE = (
    "one trained table serves all layers and lies on PEFT's wrapper around the whole model, through which alone it is "
    "saved and loaded; a bare part that carries several adapters has no such wrapper"
)
_POSITIONS = (
    "its file holds integer positions in the base's weights, and files from elsewhere may hold floating-point numbers "
    "alone"
)
LEFT_OUT: Mapping[str, str] = {
    "ADAMSS": "needs scikit-learn to cluster the weights",
    "ADAPTION_PROMPT": "knows the attention of a few language models alone; prefix_tuning is near to it",
    "CARTRIDGE": "fills a language model's cache from a document; p_tuning_v2 has the same parameters",
    "CPT": "needs labels of which tokens are context and which are answers",
    "FROD": "needs layers of one size; a UNet's differ",
    "LILY": "its router averages over the whole batch, so a picture would depend on those drawn with it, and a "
    "language model would see the tokens to come",
    "LN_TUNING": "copies whole layers, and one adapter can act at a time; norm_tuning does the same by deltas",
    "MULTITASK_PROMPT_TUNING": _TASKS,
    "POLY": _TASKS,
    "PREFIX_TUNING": _OWN,
    "PROMPT_TUNING": _OWN,
    "P_TUNING": _OWN,
    "SHADOW": "trains a second network beside a language model's blocks, which a UNet does not have",
    "SHIRA": _POSITIONS,
    "SUPERTUNING": _POSITIONS,
    "TINYLORA": _TABLE,
    "TRAINABLE_TOKENS": "retrains words that the tokenizer has; textual_inversion brings its own",
    "UNILORA": _TABLE,
    "VBLORA": _TABLE,
    "XLORA": "mixes trained LoRAs of language models alone; adapter_fusion mixes trained adapters on every part",
}
