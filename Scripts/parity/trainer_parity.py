#!/usr/bin/env python3
"""Trains a byte-level BPE tokenizer with the `tokenizers` package, for Hone's trainer to be compared with.

    trainer_parity.py OUT FILE... [--size 8000]     # writes OUT/trained.json and OUT/texts.jsonl
    HONE_PARITY_TRAINER=OUT make test TEST="--filter BytePairTrainerTests"

Every string in the files (JSONL or plain lines) is a text. Both sides start from the 256 bytes and one special token.
"""
import argparse
import json
import pathlib
import time

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def texts(paths):
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                yield from strings(json.loads(line)) if path.endswith(".jsonl") else [line]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--size", type=int, default=8000)
    options = parser.parse_args()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    corpus = list(texts(options.files))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=options.size, special_tokens=["<|end|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    started = time.perf_counter()
    tokenizer.train_from_iterator(corpus, trainer)
    print(f"{len(corpus)} texts, {tokenizer.get_vocab_size()} tokens, {time.perf_counter() - started:.2f} s")
    tokenizer.save(str(out / "trained.json"))
    with open(out / "texts.jsonl", "w", encoding="utf-8") as file:
        for text in corpus:
            file.write(json.dumps(text, ensure_ascii=False) + "\n")


main()
