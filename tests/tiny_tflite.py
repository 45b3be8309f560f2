"""TensorFlow Lite files without a network in them: they answer any picture with given arrays."""

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from vidda.control.blazepose_networks import DETECTOR, LANDMARKS

CELLS, CANDIDATES = 28, 2254


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


def write_blazepose(
    folder: Path,
    *,
    cells: tuple[tuple[int, int], ...] = ((14, 14),),
    score: float = 1.0,
    head: int = -56,
    next_side: float = 0.5,
) -> Path:
    """Write a detector that sees a person at each cell (x, y) of its finest grid, and points.

    The hips are at the middle of the cell, and the circle's point 56 pixels above them, of 224, or
    `head` pixels below. The 33 points are at (7 n, 5 n) of 256; the region that they give is
    upright and `next_side` times as large.
    """
    boxes, scores = np.zeros((1, CANDIDATES, 12)), np.full((1, CANDIDATES, 1), -50.0)
    for x, y in cells:
        index = (y * CELLS + x) * 2
        scores[0, index] = 4.0 + 0.01 * index
        boxes[0, index] = [0, -40, 20, 20, 0, 0, 0, head, 0, 0, 0, 0]
    points = np.zeros((39, 5))
    points[:33, 0], points[:33, 1] = 7 * np.arange(33), 5 * np.arange(33)
    points[:, 3:] = 6.0
    points[0, 3] = -6.0  # the nose is hidden
    points[33, :2], points[34, :2] = (128, 128), (128, 128 - 102.4 * next_side)
    mask = np.full((1, 256, 256, 1), -20.0)
    mask[0, :128] = 20.0
    meters = np.arange(39 * 3.0)
    answers = [points.reshape(1, -1), np.full((1, 1), score), mask, np.zeros((1, 64, 64, 39))]
    write_constant(folder / DETECTOR, 224, [boxes, scores])
    write_constant(folder / LANDMARKS, 256, [*answers, meters[None]])
    return folder


def _tensor(name: str, shape: tuple[int, ...], buffer: int) -> "schema.TensorT":
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
    tensor.type = schema.TensorType.FLOAT32
    return tensor
