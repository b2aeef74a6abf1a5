#!/usr/bin/env python3
"""Encoder fine-tuning, Hone against transformers + peft, in one run: the same rows, epochs, batch size and schedule.

    Benchmarks/classification.py --python PEER/bin/python --train train.jsonl --test validation.jsonl --method lora

PEER is an environment with torch 2.11.0, transformers 5.23.0 and peft 0.21.2. The two take turns (Hone, peer, Hone, peer, ...);
the printed JSON line has every accuracy and training time, the medians and their ratio. Both get two threads that wait
passively. Rows are {"text", "label"}.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="the peer environment's interpreter")
    parser.add_argument("--model", default=str(ROOT / ".setup/models/all-MiniLM-L6-v2"))
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--method", choices=["lora", "full"], default="lora")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def rows_of(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def peer(options):
    """One peer run: a plain training loop, rows shuffled every epoch, padded to the longest of a batch."""
    import torch
    import torch.nn.functional as functional
    import transformers

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    train, test = rows_of(options.train), rows_of(options.test)
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
    steps = options.epochs * -(-len(train) // options.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    encoder.train()
    started = time.perf_counter()
    for _ in range(options.epochs):
        order = torch.randperm(len(train)).tolist()
        for first in range(0, len(order), options.batch_size):
            rows = [train[index] for index in order[first:first + options.batch_size]]
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
    print(json.dumps({"accuracy": right / len(test), "seconds": seconds}))


def run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def main():
    options = arguments()
    if options.as_peer:
        return peer(options)
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
    hone = str(ROOT / ".build/release/hone")
    results = {"hone": [], "peer": []}
    for round_number in range(options.rounds):
        seed = str(options.seed + round_number)
        with tempfile.TemporaryDirectory() as folder:
            out = json.loads(run([
                hone, "train", options.train, "--validation", options.test, "--method", options.method, "--model",
                options.model, "--epochs", str(options.epochs), "--batch-size", str(options.batch_size), "--max-length",
                str(options.max_length), "--learning-rate", str(options.learning_rate), "--schedule", "linear", "--seed",
                seed, "--threads", str(options.threads), "--checkpoint-every", "0", "--out", folder + "/run", "--json",
                "--quiet"], environment))
            results["hone"].append({"accuracy": out["accuracy"]["value"], "seconds": out["training_seconds"]})
        if options.python:
            passed = [argument for argument in sys.argv[1:]]
            out = run([options.python, __file__, *passed, "--as-peer", "--seed", seed], environment)
            results["peer"].append(json.loads(out.splitlines()[-1]))
        print(json.dumps({name: runs[-1:] for name, runs in results.items()}), file=sys.stderr, flush=True)
    summary = {"method": options.method, "epochs": options.epochs, "rounds": options.rounds, **results}
    for name, runs in results.items():
        if runs:
            summary[f"{name}_median_seconds"] = statistics.median(run["seconds"] for run in runs)
            summary[f"{name}_mean_accuracy"] = statistics.mean(run["accuracy"] for run in runs)
    if results["peer"]:
        summary["ratio"] = summary["peer_median_seconds"] / summary["hone_median_seconds"]
    print(json.dumps(summary))


main()
