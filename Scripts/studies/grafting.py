#!/usr/bin/env python3
"""What a graft keeps of a fine-tuned model: accuracy, calibration and agreement against the number of coordinates, with the
controls (random coordinates, everything else zeroed), overlap of tasks, unions, and two tasks one after the other.

    python3 Scripts/studies/grafting.py --hone .build/debug/hone --tasks FOLDER --out grafts [--names sst2,subj]

FOLDER holds a folder for each task with train.jsonl and test.jsonl of {text, label}. With --model, a decoder's folder, the rows are
asked as the paper asks them, by a prompt that a label word completes. Prints lines; resumes where it stopped.
"""
import argparse
import itertools
import json
import os
import random
import subprocess
import time


# What stands behind a text, and the word of each label.
PROMPTS = {
    "sst2": (" It was", {"positive": " great", "negative": " terrible"}),
    "agnews": (" Topic:", {"World": " World", "Sports": " Sports", "Business": " Business", "Science or Technology": " Tech"}),
    "subj": (" This is", {"subjective": " opinion", "objective": " fact"}),
}


class Study:
    def __init__(self, options):
        self.options = options
        self.out = options.out
        os.makedirs(self.out, exist_ok=True)

    def hone(self, name, *arguments):
        """One call of hone whose JSON is kept, so that a study that was stopped goes on."""
        kept = os.path.join(self.out, name + ".json")
        if not os.path.exists(kept):
            started = time.time()
            done = subprocess.run(
                [self.options.hone, *map(str, arguments), "--json", "--threads", str(self.options.threads)],
                capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"{' '.join(map(str, arguments))}\n{done.stderr}")
            result = json.loads(done.stdout)
            result["seconds_of_call"] = round(time.time() - started, 1)
            result["notes"] = [line for line in done.stderr.splitlines() if line.startswith(("mask:", "graft:"))]
            with open(kept, "w") as file:
                json.dump(result, file)
        with open(kept) as file:
            return json.load(file)

    def path(self, name):
        return os.path.join(self.out, name)

    def rows(self, task, split, limit):
        """The first so many rows of each class of a shuffled file."""
        target = self.path(f"{task}-{split}-{limit}.jsonl")
        if not os.path.exists(target):
            with open(os.path.join(self.options.tasks, task, split + ".jsonl")) as file:
                rows = [json.loads(line) for line in file]
            random.Random(1).shuffle(rows)
            counts, chosen = {}, []
            for row in rows:
                counts[row["label"]] = counts.get(row["label"], 0) + 1
                if counts[row["label"]] <= limit:
                    chosen.append(self.asked(task, row["text"], row["label"]))
            with open(target, "w") as file:
                file.writelines(json.dumps(row) + "\n" for row in chosen)
        return target

    def asked(self, task, text, label):
        if not self.options.model:
            return {"text": text, "label": label}
        behind, words = PROMPTS[task]
        return {"prompt": text.strip() + behind, "completion": words[label]}

    def tuned(self, name, task, model=None):
        """Full fine-tuning of the layers, embeddings and head frozen."""
        model = model or self.options.model
        return self.hone(
            "train-" + name, "train", self.rows(task, "train", self.options.shots), "--method", "graft", "--set",
            "mask=whole", "--optimizer", self.options.optimizer, "--schedule", "constant", "--epochs", self.options.epochs,
            "--batch-size", 8, "--learning-rate", self.options.learning_rate, "--out", self.path("run-" + name), "--max-length", 64, "--quiet",
            *(["--model", model] if model else []))

    def graft(self, name, run, task, keep, mask, rounds=None):
        return self.hone(
            name, "graft", "make", "--finetuned", self.path("run-" + run), "--data",
            self.rows(task, "train", self.options.mask_shots), "--test", self.rows(task, "test", self.options.tested),
            "--keep", keep, "--mask", mask, "--rounds", rounds or self.options.rounds, "--mask-rows", self.options.mask_rows, "--batch-size", 32, "--out",
            self.path(name + ".graft"), "--quiet" if mask != "trained" else "--seed=0")

    def measured(self, name, task, *grafts, head, model=None):
        return self.hone(
            name, "graft", "eval", *[self.path(graft + ".graft") for graft in grafts], "--head",
            self.path(head + ".graft"), "--data", self.rows(task, "test", self.options.tested), "--max-length", 64,
            *(["--model", model] if model else []))


def line(name, scores, k):
    own = scores["test"]
    gain = own["relative_gain"]
    return (f"{name:28} {k:>8}  {own['graft']['accuracy']:.3f}  {own['graft']['ece_percent']:5.1f}  {own['agreement']:.3f}  "
            f"{'-' if gain is None else format(gain, '.2f'):>6}  {own['rest_zeroed']['accuracy']:.3f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hone", required=True)
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--names", default="sst2,subj")
    parser.add_argument("--model", help="a decoder, which is asked by prompts and label words")
    parser.add_argument("--shots", type=int, default=1000, help="rows of each class to fine-tune on")
    parser.add_argument("--mask-shots", type=int, default=64, help="rows of each class to learn masks on")
    parser.add_argument("--tested", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--learning-rate", default="5e-3")
    parser.add_argument("--keeps", default="1e-5,1e-4,1e-3,1e-2,1e-1")
    parser.add_argument("--trained", default="1e-4,1e-3,1e-2", help="the shares for which the mask is trained as well")
    parser.add_argument("--joined", default="1e-3,1e-2", help="the shares with which grafts are joined and follow each other")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--mask-rows", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    study = Study(options)
    names, keeps = options.names.split(","), options.keeps.split(",")
    print("task mask keep                      k    accuracy  ECE%  agreement  gain  rest zeroed")
    for task in names:
        study.tuned(task, task)
        for keep, mask in itertools.product(keeps, ["movement", "trained", "random"]):
            if mask == "trained" and keep not in options.trained.split(","):
                continue
            made = study.graft(f"{task}-{mask}-{keep}", task, task, keep, mask)
            print(line(f"{task} {mask} {keep}", made["scores"], made["k"]), *made["notes"][:1], flush=True)
        own = made["scores"]["test"]
        print(f"{task}: base {own['base']['accuracy']:.3f} (ECE {own['base']['ece_percent']:.1f} %), fine-tuned "
              f"{own['finetuned']['accuracy']:.3f} (ECE {own['finetuned']['ece_percent']:.1f} %)", flush=True)
    for keep in keeps:
        files = [study.path(f"{task}-movement-{keep}.graft") for task in names]
        if len(files) > 1:
            found = json.loads(subprocess.run([options.hone, "graft", "overlap", *files, "--json"],
                                              capture_output=True, text=True, check=True).stdout)
            for pair in found["pairs"]:
                print(f"overlap {keep} {os.path.basename(pair['graft'])} in {os.path.basename(pair['in'])}: "
                      f"{pair['share']:.4f}, chance {pair['chance']:.6f}, Jaccard {pair['jaccard']:.4f}")
    for task in names:
        where = json.loads(subprocess.run(
            [options.hone, "graft", "where", study.path(f"{task}-movement-{keeps[len(keeps) // 2]}.graft"), "--json"],
            capture_output=True, text=True, check=True).stdout)
        print("where", task, {kind["name"]: [round(kind["share"], 3), round(kind["share_of_layers"], 3)]
                              for kind in where["kinds"]})
    if len(names) < 2:
        return
    # Grafts of one base that are put in together, and the mask of another task.
    for keep in options.joined.split(","):
        first, second = [f"{task}-movement-{keep}" for task in names[:2]]
        for task, own, other in [(names[0], first, second), (names[1], second, first)]:
            alone = study.measured(f"alone-{own}", task, own, head=own)
            union = study.measured(f"union-{own}", task, other, own, head=own)
            wrong = study.measured(f"wrong-{own}", task, other, head=own)
            print(f"union {keep} {task}: base {alone['base']['accuracy']:.3f}, own graft "
                  f"{alone['graft']['accuracy']:.3f}, both {union['graft']['accuracy']:.3f}, the other's "
                  f"{wrong['graft']['accuracy']:.3f}", flush=True)
    # One task after the other: whole fine-tuning, and grafts with the base kept everywhere else.
    first, second = names[:2]
    for keep in ["whole"] + options.joined.split(","):
        share = "0.999" if keep == "whole" else keep
        graft = f"{first}-movement-{share}"
        study.graft(graft, first, first, share, "movement")
        model = study.path(f"after-{first}-{keep}")
        if not os.path.exists(model):
            study.hone(f"apply-{first}-{keep}", "graft", "apply", study.path(graft + ".graft"), "--out", model)
        study.tuned(f"{second}-after-{keep}", second, model)
        later = f"{second}-after-{keep}"
        study.graft(later, later, second, share, "movement")
        old = study.measured(f"sequence-{keep}-{first}", first, later, head=graft, model=model)
        new = study.measured(f"sequence-{keep}-{second}", second, later, head=later, model=model)
        print(f"sequence {keep}: {first} {old['base']['accuracy']:.3f} before and {old['graft']['accuracy']:.3f} after "
              f"{second}, which has {new['graft']['accuracy']:.3f}", flush=True)


if __name__ == "__main__":
    main()
