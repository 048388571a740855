"""The good model, asked about many slightly moved copies of each image. Clever, right, and far too slow for a device."""

import joblib
import numpy
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri

SHIFTS = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]


def augment(image: numpy.ndarray, copies: int) -> numpy.ndarray:
    """`copies` copies of one 8x8 image, most of them as it is, every tenth moved by a pixel, with a little noise."""
    noise = numpy.random.default_rng(1).normal(0.0, 0.05, (copies, 8, 8))
    batch = numpy.repeat(image.reshape(1, 8, 8), copies, axis=0)
    for index in range(0, copies, 10):
        batch[index] = numpy.roll(batch[index], SHIFTS[index // 10 % len(SHIFTS)], axis=(0, 1))
    return (batch + noise).reshape(copies, 64)


class AugmentedModel(MLModel):
    async def load(self) -> bool:
        self._model = joblib.load(await get_model_uri(self._settings, wellknown_filenames=["model.joblib"]))
        self._copies = int(self._settings.parameters.extra["copies"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = self.decode_request(payload, default_codec=NumpyRequestCodec)
        # one copy at a time: that is the mistake
        scores = [numpy.mean([self._model.predict_proba(copy.reshape(1, -1))[0] for copy in augment(image, self._copies)], axis=0)
                  for image in images]
        return InferenceResponse(model_name=self.name, model_version=self.version,
                                 outputs=[NumpyCodec.encode_output("predict_proba", numpy.array(scores))])
