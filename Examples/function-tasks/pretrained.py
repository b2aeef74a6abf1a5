#!/usr/bin/env python3
"""Compares ways of asking a pretrained decoder for one function of words: no examples, ten examples, soft injection, task
vectors, offsets of heads (also those that nothing was trained for), LoRA; and what soft injection costs beside ten examples.

    pretrained.py PAIRS OUT --model DIR --hone .build/release/hone [--names antonym,country-capital]

PAIRS is as for make.py, DIR a model folder that Hone reads. Every method has the same rows: 60 to learn from, 20 to validate on,
100 that are read once. Figures are the share of the test rows for which the right answer is what is written first; what follows
it is not looked at. Runs that are there already are not done again. Needs nothing but Python and a release build of Hone.
"""
import argparse
import json
import pathlib
import random
import statistics
import time

from compare import EXCHANGED, SITE, World, changed, drawn_heads, exchanged, read_tensors, table
from make import pairs as pairs_of, prompt

STEPS = ["--steps", 100, "--schedule", "constant", "--evaluate-every", 25, "--batch-size", 8]
OFFSETS = STEPS + ["--learning-rate", 0.01]
LOFIT = OFFSETS + ["--set", "top=10%"]
FEW = OFFSETS + ["--set", "top=3%"]


def write_tasks(pairs, out, names, seed=0):
    for name in names:
        rows = pairs_of(pairs, "abstractive." + name)
        random.Random(seed).shuffle(rows)
        folder = out / "tasks" / name
        folder.mkdir(parents=True, exist_ok=True)
        # What learns to write whole answers also has to learn where they end.
        for split, some, end in [("train", rows[:60], ""), ("ended", rows[:60], "\n\n"), ("validation", rows[60:80], ""),
                                 ("test", rows[80:180], "")]:
            with open(folder / (split + ".jsonl"), "w", encoding="utf-8") as file:
                for question, answer in some:
                    line = {"prompt": prompt(question), "completion": f" {answer}{end}"}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")


def methods(out, name, names, seed):
    other = names[(names.index(name) + 1) % len(names)]
    heads = out / "heads"
    return {
        "0 examples": ("icl", ["--set", "shots=0"]), "10 examples": ("icl", ["--set", "shots=10", "--set", f"seed={seed}"]),
        "tv": ("tv", []),
        "site": ("site", SITE), "site, one prompt": ("site", SITE + ["--set", "prompts=1"]),
        "lofit": ("lofit", LOFIT), "lofit, drawn heads": ("lofit", LOFIT + ["--set", f"heads={heads}/drawn-{seed}.json"]),
        "lofit, other heads": ("lofit", LOFIT + ["--set", f"heads={heads}/{other}-{seed}.json"]),
        "lofit, 3 %": ("lofit", FEW + ["--set", f"heads={heads}/{name}-{seed}.json"]),
        "lofit, 3 %, drawn heads": ("lofit", FEW + ["--set", f"heads={heads}/drawn-{seed}.json"]),
        "lofit, 3 %, l1 0.005": ("lofit", FEW + ["--set", "l1=0.005"]),
        "lora": ("lora", STEPS + ["--learning-rate", 1e-3]),
    }


def is_right(output, completion):
    """Whether the answer is there as whole words, before anything else."""
    output, completion = output.strip(), completion.strip()
    return output.startswith(completion) and not output[len(completion):len(completion) + 1].isalnum()


def learned(world, name, title, method, options, seed):
    """The share of right answers of a run, which is done where it is not there, and its folder."""
    _, run = world.run(name, title, method, options, seed, rows="ended" if method in ("lofit", "lora") else "train")
    rows = [json.loads(line) for line in open(run / "predictions.jsonl", encoding="utf-8")]
    return sum(is_right(row["output"], row["completion"]) for row in rows) / len(rows), run


def asked(world, name, run):
    """The share of right answers of a copy of a run."""
    test = world.path / "tasks" / name / "test.jsonl"
    rows = [json.loads(line) for line in open(test, encoding="utf-8")]
    found = world.call("predict", run, "--file", test, "--max-new-tokens", 12, "--threads", 1, "--json")["predictions"]
    return sum(is_right(own["output"], row["completion"]) for own, row in zip(found, rows)) / len(rows)


def mean_difference(world, name, seed, lofit):
    """LoFiT's heads with what they give behind worked examples less what they give without, and nothing trained."""
    reading = ["--steps", 1, "--batch-size", 1, "--schedule", "constant", "--learning-rate", 1e-6]
    _, shown = world.run(name, "reading", "site", reading, seed)
    _, bare = world.run(name, "reading, bare", "site", reading + ["--set", "shots=0"], seed)
    means = [read_tensors(run / "adapter" / "weights.safetensors")[1] for run in (shown, bare)]

    def offsets(tensors):
        for vector in tensors:
            site, head = vector.rsplit(".vector", 1)[0].rsplit(".", 1)
            width = len(tensors[vector])
            start = int(head) * width
            tensors[vector] = [a - b for a, b in zip(*(mean[site + ".task"][start:start + width] for mean in means))]

    return asked(world, name, changed(lofit, "difference", offsets))


def seconds(world, run, question, calls=5):
    """The median of some calls, each with its start."""
    taken = []
    for _ in range(calls):
        start = time.time()
        world.call("predict", run, question, "--max-new-tokens", 1, "--threads", 1)
        taken.append(time.time() - start)
    return statistics.median(taken)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--hone", default=".build/release/hone")
    parser.add_argument("--names", default="antonym,country-capital,singular-plural,english-french")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    names = options.names.split(",")
    out = options.out
    write_tasks(options.pairs, out, names)
    (out / "heads").mkdir(exist_ok=True)
    if not (out / "base").exists():
        (out / "base").symlink_to(options.model.resolve())
    world = World(out, pathlib.Path(options.hone).resolve(), length=256)
    results, runs = {}, {}
    for seed in range(options.seeds):
        # Heads of each function first: others take them.
        for name in names:
            method, words = methods(out, name, names, seed)["lofit"]
            _, run = learned(world, name, "lofit", method, words, seed)
            drawn_heads(world, run, seed)
            (out / "heads" / f"{name}-{seed}.json").write_bytes((run / "adapter" / "heads.json").read_bytes())
        for name in names:
            for title, (method, words) in methods(out, name, names, seed).items():
                found, runs[name, title, seed] = learned(world, name, title, method, words, seed)
                results.setdefault((name, title), []).append(found)
                print(f"{name}, {title}, seed {seed}: {found:.2f}", flush=True)
            found = mean_difference(world, name, seed, runs[name, "lofit", seed])
            results.setdefault((name, "mean difference at lofit's heads"), []).append(found)
    means = {key: sum(found) / len(found) for key, found in results.items()}
    titles = list(methods(out, names[0], names, 0)) + ["mean difference at lofit's heads"]
    table(f"Right answers, mean of {options.seeds} seeds", names + ["mean"], [
        (title, [means[name, title] for name in names] + [sum(means[name, title] for name in names) / len(names)])
        for title in titles])

    rows = []
    generator = random.Random(0)
    for name in names:
        other = names[(names.index(name) + 1) % len(names)]
        copies, decided = exchanged(runs[name, "site", 0], runs[other, "site", 0], generator)
        rows.append((name, [results[name, "0 examples"][0], results[name, "site"][0]]
                     + [asked(world, name, copy) for copy in copies] + [decided]))
    table("Soft injection, parts exchanged (first seed)", EXCHANGED, rows)

    name = names[0]
    question = json.loads((out / "tasks" / name / "test.jsonl").read_text().splitlines()[0])["prompt"]
    calls = [(title, seconds(world, runs[name, title, 0], question)) for title in ["0 examples", "10 examples", "site"]]
    for title, taken in calls:
        print(f"{name}, one token, {title}: {taken:.3f} s a call with start")
    built = json.loads((runs[name, "site", 0] / "run.json").read_text())["seconds"]
    print(f"{name}: soft injection took {built:.0f} s to build and measure, paid back after "
          f"{built / max(1e-9, calls[1][1] - calls[2][1]):.0f} calls")


if __name__ == "__main__":
    main()
