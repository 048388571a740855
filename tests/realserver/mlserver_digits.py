"""A runtime for MLServer: the softmax regression of kserve_server.py. The test puts it beside model-settings.json."""
import os
from pathlib import Path

import numpy
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Digits(MLModel):
    async def load(self) -> bool:
        with numpy.load(Path(os.environ["DIGITS_CURRENT"]) / "model.npz") as arrays:
            self.weights, self.bias, self.repeats = arrays["weights"], arrays["bias"], int(arrays["repeats"])
        return True

    async def predict(self, payload):
        images = NumpyCodec.decode_input(payload.inputs[0])
        for _ in range(self.repeats):
            scores = images.reshape(-1, 64) @ self.weights + self.bias
            shares = numpy.exp(scores - scores.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", shares)])
