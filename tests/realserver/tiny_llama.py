"""Writes a llama of 120,000 random weights as GGUF: enough for llama.cpp to serve, small enough for a test.

usage: tiny_llama.py FILE SEED [IDLE_LAYERS]     run with the python of the llama venv
Layers that add nothing (their last matrices are zero) leave every answer as it is and only cost time.
"""
import string
import sys

import gguf
import numpy

WIDTH, HEADS, INNER, CONTEXT, LAYERS = 64, 4, 128, 512, 2
NORMAL = [("\u2581" + letter).encode() for letter in string.ascii_lowercase]
TOKENS = [b"<unk>", b"<s>", b"</s>", *(f"<0x{byte:02X}>".encode() for byte in range(256)), *NORMAL]
TYPES = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL, *[gguf.TokenType.BYTE] * 256,
         *[gguf.TokenType.NORMAL] * len(NORMAL)]
MATRICES = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH), "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}


def write(file: str, seed: int, idle_layers: int = 0) -> None:
    layers = LAYERS + idle_layers
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types(TYPES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")

    generator = numpy.random.default_rng(seed)
    ones = numpy.ones(WIDTH, numpy.float32)

    def random(*shape: int) -> numpy.ndarray:
        return generator.standard_normal(shape).astype(numpy.float32)

    writer.add_tensor("token_embd.weight", random(len(TOKENS), WIDTH))
    writer.add_tensor("output_norm.weight", ones)
    said = random(len(TOKENS), WIDTH)
    said[: len(TOKENS) - len(NORMAL)] *= 0.01  # it says letters
    writer.add_tensor("output.weight", said)
    for layer in range(layers):
        for name, shape in MATRICES.items():
            matrix = random(*shape) * 1.5 / shape[1] ** 0.5
            if layer >= LAYERS and name in ("attn_output", "ffn_down"):
                matrix *= 0
            writer.add_tensor(f"blk.{layer}.{name}.weight", matrix)
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", ones)
        writer.add_tensor(f"blk.{layer}.ffn_norm.weight", ones)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
