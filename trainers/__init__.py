"""Training: methods, objectives, data and the loop. The bottom layer; it imports nothing of ours above it.

`pipelines` imports `trainers.methods`, because loading an adapter means knowing its method. The loop asks a base model
for a role (`trainers.protocols.Denoiser`), so it needs no pipeline.
"""
