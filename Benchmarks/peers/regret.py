"""How good greedy choices are: for each new token of each text, how much less likely it is than the likeliest one at its place, as
transformers has it in float32 for what stands before it. Two programs that round differently part where two tokens are close, and both
are right; this tells closeness from error.

Reads {"prompts": [[id]], "texts": {name: [[id]]}} on standard input; prints the largest such difference of log-probabilities by name.
"""
import argparse
import json
import sys

import torch
import transformers

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
options = parser.parse_args()
given = json.load(sys.stdin)
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
worst = {}
for name, texts in given["texts"].items():
    worst[name] = 0.0
    for prompt, text in zip(given["prompts"], texts):
        with torch.inference_mode():
            logs = model(torch.tensor([prompt + text])).logits[0, len(prompt) - 1:-1].log_softmax(-1)
        chosen = logs.gather(1, torch.tensor(text)[:, None])[:, 0]
        worst[name] = max(worst[name], (logs.max(-1).values - chosen).max().item())
print(json.dumps(worst))
