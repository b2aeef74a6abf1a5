"""Checks that peft reads an adapter folder written by Hone and computes what Hone computed.

    peft_reads.py MODEL_FOLDER ADAPTER_FOLDER OUTPUTS.safetensors [--tolerance 1e-5]

OUTPUTS.safetensors, written by Hone: input_ids and attention_mask (and token_type_ids where they were used) [rows,
length], padded on either side (and task_ids [rows] of a POLY adapter), and `logits` (causal models) or `hidden` (last hidden states) with the adapter; of an
encoder-decoder decoder_input_ids and decoder_attention_mask besides, and its `logits`. A prompt
adapter's outputs may include its positions in front of the tokens or leave them out.

Prints the largest difference over real positions and the largest change that the adapter makes. Exits with 1 when the
difference is above the tolerance (times the largest output where that is above one: rounding grows with it), when the
adapter changes nothing, when peft warns of anything, or when the names in the file are not exactly those peft expects.
"""
import argparse
import json
import os
import sys
import warnings

import torch
import transformers as t
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file


def fail(reason):
    print(f"peft_reads: {reason}", file=sys.stderr)
    sys.exit(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model"), parser.add_argument("adapter"), parser.add_argument("outputs")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    arguments = parser.parse_args()

    with open(os.path.join(arguments.model, "config.json"), encoding="utf-8") as file:
        architecture = (json.load(file).get("architectures") or [""])[0]
    outputs = load_file(arguments.outputs)
    kind = "logits" if "logits" in outputs else "hidden"
    if kind not in outputs:
        fail("the outputs file has neither logits nor hidden")
    is_pair = "decoder_input_ids" in outputs
    is_causal = kind == "logits" and not is_pair
    if is_causal and not architecture.endswith(("CausalLM", "LMHeadModel")):
        fail(f"logits were given, but the model is a {architecture}")
    loader = t.AutoModelForCausalLM if is_causal else t.AutoModelForSeq2SeqLM if is_pair else t.AutoModel
    model = loader.from_pretrained(arguments.model, dtype=torch.float32).eval()

    names = ("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids", "decoder_attention_mask")
    inputs = {key: outputs[key].long() for key in names if key in outputs}
    mask = inputs["decoder_attention_mask" if is_pair else "attention_mask"]
    if is_causal:  # positions count real tokens, whichever side the padding is on
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        plain = model(**inputs, **({"position_ids": positions} if is_causal else {}))
    plain = plain.logits if kind == "logits" else plain.last_hidden_state

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=FutureWarning)
        # peft 0.21.2 says this of every AdaLoRA, its own too: it looks for rank patterns of LoRA's kind.
        warnings.filterwarnings("ignore", message=r".*rank_pattern keys did not match.*\.lora_E")
        # And this of every LN_TUNING: it asks its layers for parts that a norm does not have.
        warnings.filterwarnings("ignore", message=r"Unsupported layer type .*(LayerNorm|RMSNorm)")
        try:
            model = PeftModel.from_pretrained(model, arguments.adapter).eval()
        except Exception as error:  # any sort: the reason is printed and the check has failed
            fail(f"peft does not load the adapter cleanly: {error}")
    stored = load_file(os.path.join(arguments.adapter, "adapter_model.safetensors"))
    loaded = get_peft_model_state_dict(model)
    if "task_ids" in outputs:
        inputs["task_ids"] = outputs["task_ids"].long()
    missing, unexpected = sorted(set(loaded) - set(stored)), sorted(set(stored) - set(loaded))
    if missing or unexpected:
        fail(f"names differ: missing {missing}, unexpected {unexpected}")
    for key, value in loaded.items():
        if value.shape != stored[key].shape or not torch.equal(value.float(), stored[key].float()):
            fail(f"peft holds other values than the file for {key}")

    is_prompt = model.active_peft_config.is_prompt_learning
    if is_prompt:
        inputs.pop("token_type_ids", None)
        if not mask[:, 0].all():
            fail("a prompt adapter is compared on rows padded on the right")
    elif is_causal:
        inputs["position_ids"] = positions
    with torch.no_grad():
        result = model(**inputs)
    theirs = result.logits if kind == "logits" else result.last_hidden_state
    ours = outputs[kind].float()
    extra = theirs.shape[1] - ours.shape[1]
    if is_prompt and extra > 0:
        theirs = theirs[:, extra:]
    if theirs.shape != ours.shape:
        fail(f"shapes differ: peft {tuple(theirs.shape)}, Hone {tuple(ours.shape)}")
    added = ours.shape[1] - mask.shape[1]
    real = torch.cat((torch.ones(mask.shape[0], added, dtype=mask.dtype), mask), dim=1).bool()
    difference = (theirs - ours)[real].abs().max().item()
    change = (theirs[:, added:] - plain)[mask.bool()].abs().max().item()
    print(f"largest difference {difference:.3e}, largest change by the adapter {change:.3e}, "
          f"{len(stored)} tensors, {int(real.sum())} positions")
    allowed = arguments.tolerance * max(1.0, theirs[real].abs().max().item())
    if not difference <= allowed:
        fail(f"difference above {allowed:.1e}")
    if change == 0:
        fail("the adapter changes nothing")


if __name__ == "__main__":
    main()
