"""The good model's weights with a softmax written by hand, in half precision, without subtracting the maximum first:
exp() overflows, infinity divided by infinity is NaN. The server calls itself ready all the same."""

import joblib
import numpy
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri


class OverflowingModel(MLModel):
    async def load(self) -> bool:
        model = joblib.load(await get_model_uri(self._settings, wellknown_filenames=["model.joblib"]))
        linear = model.named_steps["classify"]
        self._scale = model.named_steps["scale"]
        self._weights, self._bias = linear.coef_.astype(numpy.float16), linear.intercept_.astype(numpy.float16)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = self._scale.transform(self.decode_request(payload, default_codec=NumpyRequestCodec)).astype(numpy.float16)
        with numpy.errstate(all="ignore"):
            powers = numpy.exp(images @ self._weights.T + self._bias)
            scores = (powers / powers.sum(axis=1, keepdims=True)).astype(numpy.float64)
        return InferenceResponse(model_name=self.name, model_version=self.version,
                                 outputs=[NumpyCodec.encode_output("predict_proba", scores)])
