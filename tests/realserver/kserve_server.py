"""KServe's own SDK as the model server: softmax regression over 8x8 images, one model for each way to ask it.

usage: kserve_server.py HTTP_PORT GRPC_PORT MODELS_DIR NAME...     run with the python of the KServe venv

A model NAME is what MODELS_DIR/NAME/current holds: model.npz with `weights`, `bias` and `repeats`, how often it asks itself.
"""
import os
import sys
import threading
from pathlib import Path

import numpy
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelRepository, ModelServer


def end_with_parent():
    """The test holds the other end of stdin."""
    os.read(0, 1)
    os._exit(0)


class Digits(Model):
    def __init__(self, name: str, folder: Path):
        super().__init__(name)
        self.file = folder / name / "current" / "model.npz"

    def load(self) -> bool:
        self.ready = False  # while it loads, and where that fails
        with numpy.load(self.file) as arrays:
            self.weights, self.bias, self.repeats = arrays["weights"], arrays["bias"], int(arrays["repeats"])
        self.ready = True
        return self.ready

    async def predict(self, payload, headers=None, response_headers=None):
        is_v2 = isinstance(payload, InferRequest)
        images = payload.inputs[0].as_numpy() if is_v2 else numpy.asarray(payload["instances"])
        for _ in range(self.repeats):
            scores = images.reshape(-1, 64) @ self.weights + self.bias
            shares = numpy.exp(scores - scores.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
        if not is_v2:
            return {"predictions": shares.tolist()}
        output = InferOutput("probabilities", list(shares.shape), "FP32")
        output.set_numpy(shares.astype(numpy.float32)) if hasattr(output, "set_numpy") else output.set_data_from_numpy(shares.astype(numpy.float32), binary_data=False)
        return InferResponse(payload.id, self.name, [output])


class Repository(ModelRepository):
    """POST v2/repository/models/NAME/load reads the model again."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    async def load(self, name: str) -> bool:
        return self.load_model(name)

    def load_model(self, name: str) -> bool:
        model = self.get_model(name) or Digits(name, self.folder)
        self.update(model)
        return model.load()


def main(http_port: int, grpc_port: int, folder: Path, names: list[str]) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    repository = Repository(folder)
    for name in names:
        repository.update(Digits(name, folder))
    ModelServer(http_port=http_port, grpc_port=grpc_port, workers=1, enable_docs_url=False, registered_models=repository,
                enable_latency_logging=False).start([])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
