#!/usr/bin/env python3
"""Trains the small world's model with Hone, and compares ways of asking it for one function: no examples, ten examples, soft
injection, function and task vectors, offsets of heads, LoRA.

    make.py PAIRS WORLD
    compare.py WORLD --hone .build/release/hone

Every method has the same rows: 60 to learn from, 20 to validate on, 40 that are read once. Figures are the share of the test
rows whose whole answer is right. Runs that are there already are not done again. Needs nothing but Python and a release build of Hone.
"""
import argparse
import json
import math
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import time

TASKS = ["english-french", "english-german", "capitalize", "first-letter", "word-length"]
# Soft injection as in the paper: 400 steps of one row, and a rate that lets shares go to either end.
SITE = ["--steps", 400, "--schedule", "constant", "--evaluate-every", 50, "--batch-size", 1, "--learning-rate", 0.2]
OTHERS = ["--steps", 200, "--schedule", "constant", "--evaluate-every", 50, "--batch-size", 8]
VECTORS = OTHERS + ["--learning-rate", 0.05, "--set", "top=4"]
ONE = OTHERS + ["--learning-rate", 0.05, "--set", "top=1"]


def methods(world, task, seed):
    """The name of each comparison, its method and its options."""
    other = {"english-french": "first-letter"}.get(task, "english-french")
    heads = world / "heads"
    return {
        "0 examples": ("icl", ["--set", "shots=0"]),
        "10 examples": ("icl", ["--set", "shots=10", "--set", f"seed={seed}"]),
        "tv": ("tv", []), "fv": ("fv", []),
        "site": ("site", SITE), "site, one prompt": ("site", SITE + ["--set", "prompts=1"]),
        "lofit": ("lofit", VECTORS),
        "lofit, drawn heads": ("lofit", VECTORS + ["--set", f"heads={heads}/drawn-{seed}.json"]),
        "lofit, other heads": ("lofit", VECTORS + ["--set", f"heads={heads}/{other}-{seed}.json"]),
        "lofit, one head": ("lofit", ONE),
        "lofit, one drawn head": ("lofit", ONE + ["--set", f"heads={heads}/drawn-{seed}.json"]),
        "lofit, one other head": ("lofit", ONE + ["--set", f"heads={heads}/{other}-{seed}.json"]),
        "lora": ("lora", OTHERS + ["--learning-rate", 1e-3]),
    }


class World:
    def __init__(self, path, hone, length=160):
        self.path, self.hone, self.length = path, hone, length

    def call(self, *words):
        done = subprocess.run([str(word) for word in (self.hone, *words)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout) if "--json" in words else done.stdout

    def base(self):
        """Trains the model in two runs: the second begins anew at the first one's end, with a high rate."""
        folder = self.path / "base"
        if folder.exists():
            return
        start = time.time()
        more = []
        for number, (steps, schedule) in enumerate([(1000, "cosine"), (700, "linear")]):
            run = self.path / f"base-{number}"
            shutil.rmtree(run, ignore_errors=True)
            self.call("train", self.path / "text.jsonl", "--method", "full", "--model", self.path / "model", "--steps", steps,
                      "--batch-size", 32, "--learning-rate", 2e-3, "--schedule", schedule, "--warmup", 0.05, "--clip", 1,
                      "--max-length", 160, "--weight-decay", 0.01, "--threads", 1, "--seed", number, "--out", run,
                      "--quiet", "--json", *more)
            more = ["--init-adapter", run / "adapter"]
        self.call("export", run, "--out", folder)
        print(f"the model was trained in {time.time() - start:.0f} s", flush=True)

    def run(self, task, name, method, options, seed=0, rows="train"):
        """The share of right answers on the test rows, and the run's folder."""
        out = self.path / "runs" / f"{task}-{name.replace(' ', '').replace(',', '-')}-{seed}"
        found = out / "metrics.json"
        if not found.exists():
            shutil.rmtree(out, ignore_errors=True)
            data = self.path / "tasks" / task
            self.call("train", data / f"{rows}.jsonl", "--method", method, "--model", self.path / "base",
                      "--validation", data / "validation.jsonl", "--test", data / "test.jsonl", "--seed", seed,
                      "--max-length", self.length, "--threads", 1, "--out", out, "--quiet", "--json", *options)
        return share(json.loads(found.read_text())["test"]), out

    def evaluate(self, run, task):
        found = self.call("eval", run, "--data", self.path / "tasks" / task / "test.jsonl", "--threads", 1, "--json")
        return share(found.get("metrics", found))


def share(metrics):
    value = metrics["exact_match"]
    return value["value"] if isinstance(value, dict) else value


def read_tensors(file):
    data = file.read_bytes()
    count = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + count])
    body = data[8 + count:]
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            tensors[name] = list(struct.unpack(f"<{(end - start) // 4}f", body[start:end]))
    return header, tensors


def write_tensors(file, header, tensors):
    body = b"".join(struct.pack(f"<{len(tensors[name])}f", *tensors[name])
                    for name, _ in sorted(((name, entry["data_offsets"]) for name, entry in header.items()
                                           if name != "__metadata__"), key=lambda pair: pair[1]))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)


def changed(run, name, change):
    """A copy of a run with other tensors in its adapter."""
    copy = run.with_name(run.name + "-" + name)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    file = copy / "adapter" / "weights.safetensors"
    header, tensors = read_tensors(file)
    change(tensors)
    write_tensors(file, header, tensors)
    return copy


def sigmoid(number):
    return 1 / (1 + math.exp(-max(-80.0, min(80.0, number))))


def shares(run):
    _, tensors = read_tensors(run / "adapter" / "weights.safetensors")
    return [sigmoid(number) for name in sorted(tensors) if name.endswith(".logits") for number in tensors[name]]


def set_logits(tensors, numbers):
    numbers = iter(numbers)
    for name in sorted(tensors):
        if name.endswith(".logits"):
            tensors[name] = [next(numbers) for _ in tensors[name]]


def exchanged(run, other, generator):
    """Copies of a run of soft injection with shares shuffled, only the highest and only the lowest fifth, and another run's task;
    and the share of heads that have been decided on."""
    numbers = shares(run)
    _, own = read_tensors(run / "adapter" / "weights.safetensors")
    _, foreign = read_tensors(other / "adapter" / "weights.safetensors")
    logits = [x for name in sorted(own) if name.endswith(".logits") for x in own[name]]
    mixed = generator.sample(logits, len(logits))
    order = sorted(range(len(numbers)), key=lambda place: -numbers[place])
    count = max(1, round(0.2 * len(numbers)))

    def only(places):
        return lambda tensors: set_logits(
            tensors, [200.0 if place in places else -200.0 for place in range(len(numbers))])

    copies = [
        changed(run, "mixed", lambda tensors: set_logits(tensors, mixed)),
        changed(run, "best", only(set(order[:count]))), changed(run, "worst", only(set(order[-count:]))),
        changed(run, "foreign", lambda tensors: tensors.update(
            (name, foreign[name]) for name in tensors if name.endswith(".task"))),
    ]
    return copies, sum(x < 0.1 or x > 0.9 for x in numbers) / len(numbers)


EXCHANGED = ["0 examples", "as trained", "shares shuffled", "only the highest fifth, whole", "only the lowest fifth, whole",
             "the task of another function", "heads below 0.1 or above 0.9"]


def drawn_heads(world, run, seed):
    """The heads of a model in an order that means nothing, and the ranking that each task has found."""
    folder = world.path / "heads"
    folder.mkdir(exist_ok=True)
    found = json.loads((run / "adapter" / "heads.json").read_text())
    heads = [{"site": entry["site"], "head": entry["head"]} for entry in found["heads"]]
    random.Random(seed + 1).shuffle(heads)
    (folder / f"drawn-{seed}.json").write_text(json.dumps({"version": 1, "heads": heads}))


def similarity(left, right):
    means = sum(left) / len(left), sum(right) / len(right)
    a, b = [x - means[0] for x in left], [x - means[1] for x in right]
    size = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b)) / size if size else 0.0


def table(title, columns, rows):
    print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for name, values in rows:
        cells = [f"{value:.2f}" if isinstance(value, float) else str(value) for value in values]
        print(f"| {name} | {' | '.join(cells)} |")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", type=pathlib.Path)
    parser.add_argument("--hone", default=".build/release/hone")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    world = World(options.world, pathlib.Path(options.hone).resolve())
    world.base()
    seeds = range(options.seeds)
    results, runs = {}, {}
    for seed in seeds:
        # Heads of each task first: others take them.
        for task in TASKS:
            method, words = methods(world.path, task, seed)["lofit"]
            found, run = world.run(task, "lofit", method, words, seed)
            drawn_heads(world, run, seed)
            shutil.copy(run / "adapter" / "heads.json", world.path / "heads" / f"{task}-{seed}.json")
        for task in TASKS:
            for name, (method, words) in methods(world.path, task, seed).items():
                found, runs[task, name, seed] = world.run(task, name, method, words, seed)
                results.setdefault((task, name), []).append(found)
    names = list(methods(world.path, TASKS[0], 0))
    means = {key: sum(found) / len(found) for key, found in results.items()}
    rows = [(name, [means[task, name] for task in TASKS] + [sum(means[task, name] for task in TASKS) / len(TASKS)])
            for name in names]
    table(f"Right answers, mean of {len(seeds)} seeds", TASKS + ["mean"], rows)

    rows = []
    generator = random.Random(0)
    for task in TASKS:
        other = "first-letter" if task.startswith("english") else "english-french"
        copies, decided = exchanged(runs[task, "site", 0], runs[other, "site", 0], generator)
        rows.append((task, [means[task, "0 examples"], results[task, "site"][0]]
                     + [world.evaluate(copy, task) for copy in copies] + [decided]))
    table("Soft injection, parts exchanged", EXCHANGED, rows)
    table("Correlation of shares between tasks", TASKS, [
        (task, [similarity(shares(runs[task, "site", 0]), shares(runs[other, "site", 0])) for other in TASKS])
        for task in TASKS])

    rows = []
    for task in TASKS:
        lists = []
        for seed in list(seeds)[:2]:
            found = json.loads((runs[task, "lofit", seed] / "adapter" / "heads.json").read_text())["heads"]
            lists.append([(entry["site"], entry["head"]) for entry in found])
        if len(lists) == 2:
            rows.append((task, [len(set(lists[0][:k]) & set(lists[1][:k])) / k for k in (4, 8)]))
    count = len(lists[0])
    table("Heads that two seeds of the selection have in common", [
        f"of 4 (by chance {4 / count:.2f})", f"of 8 (by chance {8 / count:.2f})"], rows)


if __name__ == "__main__":
    main()
