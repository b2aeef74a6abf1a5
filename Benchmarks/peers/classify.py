"""The peer of the classification benchmarks: a plain training loop over transformers (+ peft), rows shuffled every epoch,
padded to the longest of a batch, mean pooling and a linear head. Rows are {"text", "label"}. Prints one JSON object.
"""
import argparse
import json
import time

import torch
import torch.nn.functional as functional
import transformers

import measures

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--train", required=True)
parser.add_argument("--test", required=True)
parser.add_argument("--method", choices=["lora", "full"], required=True)
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--max-length", type=int, default=128)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(options.seed)
train, test = ([json.loads(line) for line in open(path, encoding="utf-8") if line.strip()]
               for path in (options.train, options.test))
labels = sorted({row["label"] for row in train})
number = {label: index for index, label in enumerate(labels)}
tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
encoder = transformers.AutoModel.from_pretrained(options.model)
if options.method == "lora":
    import peft
    targets = ["query", "key", "value", "dense"]
    encoder = peft.get_peft_model(encoder, peft.LoraConfig(r=8, lora_alpha=16, target_modules=targets))
head = torch.nn.Linear(encoder.config.hidden_size, len(labels))


def scores(rows):
    texts = [row["text"] for row in rows]
    batch = tokenizer(texts, padding=True, truncation=True, max_length=options.max_length, return_tensors="pt")
    weights = batch["attention_mask"].unsqueeze(-1).float()
    states = encoder(**batch).last_hidden_state
    return head((states * weights).sum(1) / weights.sum(1))


trained = [p for p in encoder.parameters() if p.requires_grad] + list(head.parameters())
optimizer = torch.optim.AdamW(trained, lr=options.learning_rate, weight_decay=0)
steps = options.epochs * -(-len(train) // options.batch)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
encoder.train()
started = time.perf_counter()
for _ in range(options.epochs):
    order = torch.randperm(len(train)).tolist()
    for first in range(0, len(order), options.batch):
        rows = [train[index] for index in order[first:first + options.batch]]
        loss = functional.cross_entropy(scores(rows), torch.tensor([number[row["label"]] for row in rows]))
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
seconds = time.perf_counter() - started
encoder.eval()
right = 0
with torch.inference_mode():
    for first in range(0, len(test), 64):
        rows = test[first:first + 64]
        right += sum(labels[index] == row["label"] for index, row in zip(scores(rows).argmax(1).tolist(), rows))
print(json.dumps({"accuracy": right / len(test), "seconds": seconds, "versions": measures.versions()}))
