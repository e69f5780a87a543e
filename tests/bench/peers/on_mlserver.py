"""A runtime for MLServer: V2 requests with one tensor a column, merged by its adaptive batching."""

# mypy: ignore-errors

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from pipeline import Pipeline


class Runtime(MLModel):
    async def load(self) -> bool:
        self.model = Pipeline(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        columns = {
            one.name: StringCodec.decode_input(one)
            if one.datatype == "BYTES"
            else NumpyCodec.decode_input(one).ravel().tolist()
            for one in payload.inputs
        }
        answers = self.model.columns(columns)
        labels = [[one["prediction"]] for one in answers]
        outputs = [StringCodec.encode_output("prediction", [str(label) for (label,) in labels])]
        if "probabilities" in answers[0]:
            import numpy as np

            table = np.array([list(one["probabilities"].values()) for one in answers])
            outputs.append(NumpyCodec.encode_output("probabilities", table))
        return InferenceResponse(model_name=self.name, outputs=outputs)
