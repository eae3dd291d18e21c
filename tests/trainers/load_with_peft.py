"""Run by a test: load parts of adapters with PEFT alone and save the outputs for fixed inputs."""

import sys

import torch
from diffusers import UNet2DConditionModel
from peft import PeftModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

base, *pairs = sys.argv[1:]
torch.set_num_threads(1)
outputs = {}
for pair in pairs:
    part, method = pair.split("/")
    if part == "unet":
        model = UNet2DConditionModel.from_pretrained(base, subfolder="unet").eval()
        inputs = {
            "sample": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3)),
            "timestep": torch.tensor([500]),
            "encoder_hidden_states": torch.randn(1, 77, 32, generator=torch.Generator().manual_seed(4)),
        }
    else:
        model = CLIPTextModel.from_pretrained(f"{base}/{part}").eval()
        tokenizer = CLIPTokenizer.from_pretrained(f"{base}/tokenizer")
        ids = tokenizer(["a red boat"], padding="max_length", max_length=77, return_tensors="pt").input_ids
        inputs = {"input_ids": ids}
    loaded = PeftModel.from_pretrained(model, f"{part}/{method}/{part}")
    with torch.no_grad():
        outputs[pair] = loaded(**inputs)[0].contiguous()
assert not {"trainers", "pipelines", "studio"} & sys.modules.keys()
save_file(outputs, "outputs.safetensors")
