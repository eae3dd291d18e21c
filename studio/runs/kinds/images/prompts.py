"""What captions and sample prompts of a training on pictures hold that is no words."""

from pipelines.prompt_notes import caption_sentences, note_sentences
from trainers.config import RunConfig
from trainers.data.images import ImageFolder


def prompt_sentences(config: RunConfig, folder: ImageFolder) -> list[str]:
    """Return sentences for whoever starts the training."""
    captions = {picture.path.name: picture.caption for picture in folder.pictures}
    if config.prompt is not None:
        captions = {"--prompt": config.prompt}
    prompts = {f"sample prompt {prompt!r}": prompt for prompt in config.sample_prompts}
    return [*caption_sentences(captions), *note_sentences(prompts)]
