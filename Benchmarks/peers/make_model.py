"""Writes a model folder of a real model's shape with random weights and a tokenizer of short made-up words: nothing is
downloaded, and a text of n words is n tokens, so that the work of a benchmark is known exactly.

    make_model.py smollm2-135m OUT
"""
import argparse
import json
import pathlib
import random

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SHAPES = {
    "smollm2-135m": dict(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49152, max_position_embeddings=8192, rope_theta=100000.0, tie_word_embeddings=True),
    "tiny": dict(
        hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=2048, max_position_embeddings=4096, tie_word_embeddings=True),
}


def words(count=1200, seed=0):
    """Distinct words of five letters, always the same."""
    generator = random.Random(seed)
    made = set()
    while len(made) < count:
        made.add("".join(generator.choice("bdfgklmnprst") + generator.choice("aeiou") for _ in range(2)) + "n")
    return sorted(made)


def write_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    lines = [" " + word for word in words()]
    trainer = trainers.BpeTrainer(
        vocab_size=2000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|end|>"],
        show_progress=False)
    tokenizer.train_from_iterator(lines * 4, trainer)
    longer = [line for line in lines if len(tokenizer.encode(line).ids) != 1]
    if longer:
        raise SystemExit(f"{len(longer)} words are more than one token")
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "pad_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPES[options.shape]))
    model.save_pretrained(options.out)
    write_tokenizer(options.out)


if __name__ == "__main__":
    main()
