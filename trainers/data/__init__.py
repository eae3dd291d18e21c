"""Pictures with captions, and latents made from them."""
