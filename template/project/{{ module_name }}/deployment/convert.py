"""The pipeline as an ONNX graph, where skl2onnx can convert it."""

from pathlib import Path
from typing import Any


class CannotConvert(Exception):
    """skl2onnx refused the pipeline; the text says why."""


def to_onnx(pipeline: Any, inputs: list[dict[str, Any]], path: Path) -> None:
    # Imported here: it takes seconds, and breaks where protobuf is a release it does not know.
    try:
        import skl2onnx
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType

        types = [
            (
                column["name"],
                FloatTensorType([None, 1])
                if column["kind"] == "number"
                else StringTensorType([None, 1]),
            )
            for column in inputs
        ]
        last = pipeline[-1]
        options = {id(last): {"zipmap": False}} if hasattr(last, "classes_") else None
        # With a name of its own, or skl2onnx would make up another one each time.
        graph = skl2onnx.to_onnx(pipeline, initial_types=types, options=options, name="model")
    except Exception as error:  # it raises whatever its parts raise
        said = " ".join(str(error).split())
        raise CannotConvert(f"skl2onnx cannot convert it: {said.split('. ')[0][:200]}") from error
    path.parent.mkdir(parents=True)
    path.write_bytes(graph.SerializeToString())
