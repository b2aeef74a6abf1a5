"""Several tasks at once, then new ones of few examples: LoRA, Poly and MHR on one encoder.

    multitask.py DATA --hone .build/release/hone [--train sst2,subj,...] [--held-out customer_reviews,...] [--out FOLDER]

DATA holds a folder a task with train.jsonl and test.jsonl of {text, label}. All tasks share one list of labels, so that the
classification head of the first stage also serves the tasks that are held out; from then on it stays as it is.

Stage 1 trains LoRA, Poly and MHR on the same rows of all training tasks, each with the same rank, steps and learning rate. Stage 2
takes 16 or 32 rows of a task that was held out, several draws of them, and goes on from each inventory: all of it, the routing alone
(z), the mean of the skills (mu). The draws, their order and the test rows are the same for every way. Prints tables in Markdown, and
writes all figures to OUT/figures.json.
"""
import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys

SHARED = ["--max-length", "64", "--quiet", "--json", "--threads"]


def hone(options, *arguments):
    done = subprocess.run([options.hone, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [{"text": row["text"], "label": str(row["label"])} for row in map(json.loads, file)]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


def description(path, data, labels, test):
    """A task.yaml that fixes the labels and their order."""
    lines = [f"kind: classification\ndata: {json.dumps(str(data))}", f"test: {json.dumps(str(test))}",
             "columns: {text: text, label: label}", f"labels: {json.dumps(labels)}", "splits: {validation: 0, test: 0}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def train(options, data, name, *more):
    folder = options.out / "runs" / name
    if not (folder / "metrics.json").exists():
        hone(options, "train", data, "--out", folder, *SHARED, options.threads, *more)
    return json.loads((folder / "metrics.json").read_text()), folder


def draw(content, count, seed):
    """So many rows, of every label as evenly as they are there."""
    generator = random.Random(seed)
    by_label = {}
    for row in content:
        by_label.setdefault(row["label"], []).append(row)
    pools = [generator.sample(own, len(own)) for _, own in sorted(by_label.items())]
    drawn = []
    while len(drawn) < count:
        for pool in pools:
            if pool and len(drawn) < count:
                drawn.append(pool.pop())
    return generator.sample(drawn, len(drawn))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--hone", required=True)
    parser.add_argument("--train", default="sst2,sst5,subj,trec,scicite,fin_headline_tsa")
    parser.add_argument("--held-out", default="customer_reviews,fin_phrasebank")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(".build/benchmarks/multitask"))
    parser.add_argument("--rows", type=int, default=400, help="training rows of each task")
    parser.add_argument("--test-rows", type=int, default=400)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--shot-steps", type=int, default=60)
    parser.add_argument("--batch-size", default="32", help="of stage 1")
    parser.add_argument("--layers", default="all", help="the layers that are adapted")
    parser.add_argument("--shots", default="16,32")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--threads", default="2")
    options = parser.parse_args()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    tasks, held_out = options.train.split(","), options.held_out.split(",")
    content = {task: {part: rows(options.data / task / f"{part}.jsonl") for part in ("train", "test")}
               for task in tasks + held_out}
    labels = sorted({row["label"] for task in tasks for row in content[task]["train"]})
    files = {}
    for task in tasks + held_out:
        if unknown := {row["label"] for row in content[task]["train"]} - set(labels):
            sys.exit(f"{task} has labels that no training task has: {sorted(unknown)}")
        shuffled = random.Random(0).sample(content[task]["train"], len(content[task]["train"]))
        some = random.Random(1).sample(content[task]["test"], min(options.test_rows, len(content[task]["test"])))
        files[task] = (write(options.out / f"{task}.jsonl", shuffled[:options.rows]),
                       write(options.out / f"{task}.test.jsonl", some))

    def several(part):
        return ",".join(f"{task}={files[task][part]}" for task in tasks)

    figures = {"options": {key: str(value) for key, value in vars(options).items() if key not in ("hone", "out", "data")}}
    data = description(options.out / "tasks.yaml", several(0), labels, several(1))
    common = ["--set", f"layers={options.layers}", "--batch-size", options.batch_size, "--learning-rate", "1e-3", "--steps", options.steps]
    ways = {"lora": ["--set", "rank=4", "--set", "alpha=1"], "poly": [], "mhr": ["--set", "splits=8"]}
    inventories = {}
    print(f"| stage 1, {len(tasks)} tasks | trained | training loss | accuracy | agreement of gradients |")
    print("| --- | --- | --- | --- | --- |")
    for method, settings in ways.items():
        metrics, folder = train(options, data, "all-" + method, "--method", method, *settings, *common)
        inventories[method] = folder / "adapter"
        figures["all-" + method] = metrics
        print(f"| {method} | {metrics['trained_parameters']} | {metrics['training_loss']:.3f} | "
              f"{metrics['accuracy']['value']:.3f} | {metrics['gradient_alignment']:.3f} |", flush=True)

    adaptations = {
        "LoRA": ("lora", [], "1e-3"), "Poly": ("poly", [], "1e-3"),
        "MHR": ("mhr", [], "1e-3"), "MHR-z": ("mhr", ["--set", "tune=z"], "1e-3"),
        "MHR-mu": ("mhr", ["--set", "tune=mu"], "1e-3"),
    }
    for task in held_out:
        columns = options.shots.split(",")
        print(f"\n| {task} | trained | 0 rows | " + " | ".join(f"{shots} rows" for shots in columns) + " |")
        print("| --- | --- | --- |" + " --- |" * len(columns))
        for way, (method, settings, rate) in adaptations.items():
            shared = ["--method", method, "--init-adapter", inventories[method], *settings, "--batch-size", "16",
                      "--keep-head"]
            # All ways from one inventory begin with one function.
            starts = ["0"] if way in ("LoRA", "Poly", "MHR") else []
            own = {shots: [] for shots in starts + columns}
            for shots in own:
                for seed in range(options.draws if shots != "0" else 1):
                    name = f"{task}-{way}-{shots}-{seed}"
                    few = write(options.out / f"{task}-{shots}-{seed}.jsonl",
                                draw(rows(files[task][0]), int(shots) or 16, seed))
                    data = description(options.out / f"{task}-{shots}-{seed}.yaml", f"{task}={few}", labels, files[task][1])
                    # Without rows: one step that moves nothing.
                    plan = ["--steps", 1, "--learning-rate", "1e-30"] if shots == "0" else [
                        "--steps", options.shot_steps, "--learning-rate", rate, "--warmup", "0.06"]
                    metrics, _ = train(options, data, name, *shared, *plan, "--seed", seed)
                    own[shots].append(metrics["accuracy"]["value"])
                    figures[name] = metrics
            cells = ([] if starts else ["as MHR"]) + [f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")
                     for values in own.values()]
            print(f"| {way} | {metrics['trained_parameters']} | " + " | ".join(cells) + " |", flush=True)
            (options.out / "figures.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
