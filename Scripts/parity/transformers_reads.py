"""Loads model folders that Hone wrote with transformers and compares the outputs.

    transformers_reads.py MODEL_FOLDER...

Each folder also holds outputs.safetensors with input_ids, attention_mask, perhaps token_type_ids, or pixel_values, and what
Hone computed: `logits` of a causal model or `hidden`, the last states of an encoder. Fails where a weight is missing, left
over, or a real token's output differs by more than 5e-5.
"""
import os
import sys

import torch
import transformers as t
from safetensors.torch import load_file


def compare(folder):
    tensors = load_file(os.path.join(folder, "outputs.safetensors"))
    is_causal = "logits" in tensors
    kind = t.AutoModelForCausalLM if is_causal else t.AutoModel
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    model.eval()
    missing = [key for key in info["missing_keys"] if "pooler" not in key]
    assert not missing and not info["mismatched_keys"], info
    heads = ("cls.", "lm_head.", "vocab_", "classifier.", "cls_classifier.", "distillation_classifier.")
    assert not [key for key in info["unexpected_keys"] if not key.startswith(heads)], info
    names = ("input_ids", "attention_mask", "token_type_ids", "pixel_values")
    inputs = {key: tensors[key] for key in names if key in tensors}
    with torch.no_grad():
        result = model(**inputs)
    theirs = result.logits if is_causal else result.last_hidden_state
    differences = (theirs - tensors["logits" if is_causal else "hidden"]).abs()
    return (differences if "pixel_values" in inputs else differences[tensors["attention_mask"].bool()]).max().item()


differences = {folder: compare(folder) for folder in sys.argv[1:]}
for folder, difference in differences.items():
    print(os.path.basename(folder), difference)
assert max(differences.values()) < 5e-5
