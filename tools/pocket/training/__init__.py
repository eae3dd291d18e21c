"""What the pocket training scripts share: model sizes, data, captions, the time-boxed loop, cards."""
