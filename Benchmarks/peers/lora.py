"""The peer of the LoRA benchmarks: transformers + peft + torch's AdamW on rows of {"prompt", "completion"}.

Rows in file order, `--batch` a step, padded to the longest of the batch; loss over completion tokens; LoRA of rank 8, alpha
16, on every linear map of the layers; AdamW at a constant rate without decay. `--save-init` writes the untrained adapter, so
that another program starts from the same numbers. Prints one JSON object.
"""
import argparse
import json
import time

import torch
import transformers
from peft import LoraConfig, get_peft_model

import measures

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--dtype", choices=["float32", "bfloat16"], required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--save-init")
parser.add_argument("--until-first-step", action="store_true", help="print the time of the first step's end, and nothing else")
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(0)
tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=getattr(torch, options.dtype))
model = get_peft_model(model, LoraConfig(
    r=8, lora_alpha=16, lora_dropout=0.0, bias="none", target_modules="all-linear", task_type="CAUSAL_LM"))
if options.save_init:
    model.save_pretrained(options.save_init)
    raise SystemExit
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=options.learning_rate, weight_decay=0.0)
rows = [json.loads(line) for line in open(options.data)]


def batch(step):
    ids, labels = [], []
    for i in range(options.batch):
        row = rows[(step * options.batch + i) % len(rows)]
        prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
        completion = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
        ids.append(prompt + completion)
        labels.append([-100] * len(prompt) + completion)
    width = max(map(len, ids))
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in ids])
    return (torch.tensor([r + [0] * (width - len(r)) for r in ids]), mask,
            torch.tensor([r + [-100] * (width - len(r)) for r in labels]))


losses, seconds = [], []
model.train()
for step in range(options.steps):
    ids, mask, labels = batch(step)
    start = time.perf_counter()
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    seconds.append(time.perf_counter() - start)
    losses.append(loss.item())
    if options.until_first_step:
        print(json.dumps({"first_step_at": time.time()}))
        raise SystemExit

print(json.dumps({
    "losses": losses, "seconds": seconds, "peak_mib": measures.peak_mib(),
    "peak_gflops": measures.peak_gflops(options.dtype),
    "versions": measures.versions()}))
