#!/usr/bin/env python3
"""One generator for the adapters of several tasks: late adapters of each task are kept, a task vector is taken, a generator is
learned, and its adapters are measured against the trained ones, the base, another task's vector and the mean of all adapters.

    python3 Scripts/studies/adapter_generator.py --hone .build/debug/hone --tasks FOLDER --out generator

FOLDER holds a folder for each task with train.jsonl and test.jsonl of {text, label}. Resumes where it stopped.
"""
import argparse
import json
import os
import random
import subprocess
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hone", required=True)
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--names", default="sst2,subj,trec,customer_reviews,scicite,citation_intent")
    parser.add_argument("--held-out", default="", help="a task whose adapters the generator does not see")
    parser.add_argument("--shots", type=int, default=400)
    parser.add_argument("--tested", type=int, default=400)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--kept", type=int, default=40)
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--epochs", default="150")
    parser.add_argument("--batch-size", default="24")
    parser.add_argument("--latent", default="64")
    parser.add_argument("--beta", default="0.005")
    parser.add_argument("--learning-rate", default="1e-3")
    parser.add_argument("--scaling", default="task")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    out, names = options.out, options.names.split(",")
    os.makedirs(os.path.join(out, "vectors"), exist_ok=True)
    os.makedirs(os.path.join(out, "runs"), exist_ok=True)

    def hone(*arguments):
        started = time.time()
        done = subprocess.run(
            [options.hone, *map(str, arguments), "--threads", str(options.threads), "--json"], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, arguments))}\n{done.stderr}")
        return json.loads(done.stdout) | {"seconds_of_call": round(time.time() - started, 1)}

    def rows(task, split, limit):
        target = os.path.join(out, f"{task}-{split}.jsonl")
        if not os.path.exists(target):
            with open(os.path.join(options.tasks, task, split + ".jsonl")) as file:
                read = [json.loads(line) for line in file]
            random.Random(1).shuffle(read)
            with open(target, "w") as file:
                file.writelines(
                    json.dumps({"text": row["text"], "label": row["label"]}) + "\n" for row in read[:limit])
        return target

    for task in names:
        run = os.path.join(out, "runs", task)
        if not os.path.exists(run):
            trained = hone(
                "train", rows(task, "train", options.shots), "--method", "lora", "--set", "rank=2", "--set",
                "targets=query,value", "--set", "layers=3-5", "--probe-head", "--head-rate", 0, "--steps", options.steps,
                "--batch-size", 16, "--learning-rate", "1e-3", "--max-length", 64, "--keep-adapters", options.kept,
                "--keep-every", options.every, "--out", run, "--quiet")
            print(f"{task}: trained in {trained['seconds_of_call']} s", flush=True)
        vector = os.path.join(out, "vectors", task + ".safetensors")
        if not os.path.exists(vector):
            hone("taskvec", "--data", rows(task, "train", options.shots), "--out", vector, "--max-length", 64)
    known = [task for task in names if task != options.held_out]
    generator = os.path.join(out, "generator" + ("-without-" + options.held_out if options.held_out else ""))
    if options.scaling != "task":
        generator += "-" + options.scaling

    def adapters(tasks):
        return sum([["--adapters", os.path.join(out, "runs", task, "adapters", "step-*")] for task in tasks], [])

    if not os.path.exists(generator):
        learned = hone(
            "generator", "train", *adapters(known), "--taskvecs", os.path.join(out, "vectors"), "--latent", options.latent, "--beta",
            options.beta, "--epochs", options.epochs, "--batch-size", options.batch_size, "--learning-rate",
            options.learning_rate, "--scaling", options.scaling, "--out", generator, "--quiet")
        print(json.dumps({key: learned[key] for key in
                          ["length", "padded", "parameters", "error", "divergence", "epochs", "seconds"]}), flush=True)
    data = sum([["--data", f"{task}={rows(task, 'test', options.tested)}"] for task in names], [])
    result = hone("generator", "eval", generator, *adapters(names), *data, "--taskvecs", os.path.join(out, "vectors"))
    with open(generator + ".json", "w") as file:
        json.dump(result, file)
    print("task              spread  error  nearest  wrong  mean of all  reconstruction  own nearest  divergence")
    for row in result["errors"]:
        print(f"{row['task']:17} {row['spread']:.4f}  {row['error']:.4f}  {row['nearest_error']:.4f}  "
              f"{row['wrong_task_error']:.3f}  {row['mean_of_all_error']:.3f}  {row['reconstruction_error']:.4f}  "
              f"{row['own_nearest']:.2f}  {row['divergence']['mean']:.5f}")
    accuracy = lambda measured: measured["accuracy"]["value"]
    print("task               base  trained  generated (each)          wrong task (mean)  mean of all")
    for row in result["metrics"]:
        wrong = [accuracy(other) for other in row["wrong_task"].values()]
        print(f"{row['task']:17} {accuracy(row['base']):.4f}  {accuracy(row['trained']):.4f}  "
              f"{' '.join(format(accuracy(one), '.4f') for one in row['generated'])}  "
              f"{sum(wrong) / len(wrong):.4f}  {accuracy(row['mean_of_all']):.4f}")
    print(result["storage"])


if __name__ == "__main__":
    main()
