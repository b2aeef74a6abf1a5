"""The peer of `generate-int8`: llama.cpp with Q8_0 weights through llama-cpp-python, one prompt of token numbers, greedy.

Writes the GGUF file of a Llama model folder once, beside it. Needs `requirements-llama.txt` in an environment of its own. Prints one JSON
object: the seconds of a first and a second pass and the new tokens.
"""
import argparse
import json
import pathlib
import time

import gguf
import llama_cpp
import numpy
from safetensors.numpy import load_file

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=pathlib.Path, required=True)
parser.add_argument("--prompt", type=json.loads, required=True, help="token numbers as a JSON list")
parser.add_argument("--new-tokens", type=int, required=True)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()


def write(folder, path):
    config = json.loads((folder / "config.json").read_text())
    heads, keys = config["num_attention_heads"], config["num_key_value_heads"]
    weights = load_file(folder / "model.safetensors")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(keys)
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base((config.get("rope_parameters") or config)["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("none")

    def add(name, source, turns=0):
        numbers = weights[source].astype(numpy.float32)
        if turns:  # llama.cpp turns neighbours, Hugging Face's layout the two halves
            numbers = numbers.reshape(turns, 2, -1, numbers.shape[1]).swapaxes(1, 2).reshape(numbers.shape)
        if numbers.ndim == 1:
            writer.add_tensor(name + ".weight", numbers)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name + ".weight", gguf.quants.quantize(numbers, kind), raw_dtype=kind)

    add("token_embd", "model.embed_tokens.weight")
    add("output_norm", "model.norm.weight")
    for i in range(config["num_hidden_layers"]):
        source = f"model.layers.{i}."
        add(f"blk.{i}.attn_norm", source + "input_layernorm.weight")
        add(f"blk.{i}.ffn_norm", source + "post_attention_layernorm.weight")
        add(f"blk.{i}.attn_q", source + "self_attn.q_proj.weight", heads)
        add(f"blk.{i}.attn_k", source + "self_attn.k_proj.weight", keys)
        add(f"blk.{i}.attn_v", source + "self_attn.v_proj.weight")
        add(f"blk.{i}.attn_output", source + "self_attn.o_proj.weight")
        for short in ("gate", "up", "down"):
            add(f"blk.{i}.ffn_{short}", source + f"mlp.{short}_proj.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


path = options.model / "model-q8_0.gguf"
if not path.exists():
    write(options.model, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)
model = llama_cpp.Llama(
    str(path), n_ctx=len(options.prompt) + options.new_tokens + 8, n_threads=options.threads,
    n_threads_batch=options.threads, verbose=False)
seconds, tokens = [], []
for _ in range(2):
    model.reset()
    start = time.perf_counter()
    model.eval(options.prompt)
    tokens = []
    while True:
        tokens.append(int(numpy.argmax(model._scores[-1] if model._logits_all else numpy.ctypeslib.as_array(
            llama_cpp.llama_get_logits(model.ctx), shape=(model.n_vocab(),)))))
        if len(tokens) == options.new_tokens:
            break
        model.eval(tokens[-1:])
    seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": seconds, "tokens": tokens, "versions": {"llama_cpp_python": llama_cpp.__version__}}))
