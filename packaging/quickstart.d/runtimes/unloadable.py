"""A model file for a runtime that this device does not have: load() raises."""

from mlserver import MLModel
from mlserver.errors import MLServerError


class UnloadableModel(MLModel):
    async def load(self) -> bool:
        raise MLServerError("digits: the model file needs opset 21, this runtime has 17", 500)
