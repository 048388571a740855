"""llama.cpp's own server, from the wheel xllamacpp, over one GGUF file.

usage: llama_server.py PORT GGUF ALIAS chat|embeddings [KEY]     run with the python of the llama venv
"""
import os
import sys

import xllamacpp


def main(port: int, file: str, alias: str, kind: str, key: str = "") -> None:
    params = xllamacpp.CommonParams()
    params.model.path, params.port, params.model_alias = file, port, {alias}
    params.n_ctx, params.n_parallel, params.warmup = 512, 1, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if key:
        params.api_keys = [key]
    if kind == "embeddings":
        params.embedding, params.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    print("listening", server.listening_address, flush=True)
    os.read(0, 1)  # the test holds the other end of stdin
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
