"""TensorFlow Lite files without a network in them: they answer any picture with given arrays."""

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def write_constant(path: Path, side: int, answers: list[np.ndarray]) -> None:
    """Write a model of one picture (1, side, side, 3) float32 whose outputs are float32 arrays."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = [_tensor("picture", (1, side, side, 3), 0)]
    graph.inputs, graph.outputs, graph.operators = [0], [], []
    for number, answer in enumerate(answers):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(answer.astype("<f4").tobytes(), np.uint8)
        model.buffers.append(buffer)
        graph.tensors.append(_tensor(f"answer_{number}", answer.shape, len(model.buffers) - 1))
        graph.outputs.append(len(graph.tensors) - 1)
    model.subgraphs = [graph]
    model.operatorCodes = []
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(builder.Output()))


def _tensor(name: str, shape: tuple[int, ...], buffer: int) -> "schema.TensorT":
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
    tensor.type = schema.TensorType.FLOAT32
    return tensor
