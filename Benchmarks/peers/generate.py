"""The peer of the generation benchmarks: transformers' greedy `generate` on rows of {"prompt"}, all at once, exactly `--new-tokens` each.

Prints one JSON object: the seconds of a first and a second pass, the prompts' and the new tokens, and how fast this machine reads memory.
"""
import argparse
import json
import time

import torch
import transformers

import measures

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--dtype", choices=["float32", "bfloat16"], required=True)
parser.add_argument("--new-tokens", type=int, required=True)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

torch.set_num_threads(options.threads)
tokenizer = transformers.AutoTokenizer.from_pretrained(options.model, padding_side="left")
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=getattr(torch, options.dtype)).eval()
prompts = [json.loads(line)["prompt"] for line in open(options.data)]
inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
seconds = []
for _ in range(2):
    start = time.perf_counter()
    with torch.inference_mode():
        made = model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], do_sample=False,
            min_new_tokens=options.new_tokens, max_new_tokens=options.new_tokens, pad_token_id=tokenizer.pad_token_id)
    seconds.append(time.perf_counter() - start)

# Reading 512 MiB with every thread is what no weight can be read faster than.
memory, reading = torch.ones(1 << 27), []
for _ in range(6):
    start = time.perf_counter()
    memory.sum()
    reading.append(time.perf_counter() - start)
width = inputs["input_ids"].shape[1]
print(json.dumps({
    "seconds": seconds, "gigabytes_per_second": memory.numel() * 4 / min(reading) / 1e9,
    "prompts": [row[mask.bool()].tolist() for row, mask in zip(inputs["input_ids"], inputs["attention_mask"])],
    "tokens": made[:, width:].tolist(),
    "versions": measures.versions()}))
