"""The peer's 8-bit U2-Netp, made by onnxruntime's own tools: static quantization, calibrated.

Two formats, since which one runs faster depends on the machine: QDQ and QOperator. Activations
are uint8, weights int8 per output channel, as onnxruntime recommends for x86 and ARM. Per-channel
QDQ needs opset 13 or newer, so the file is folded and raised to opset 17 first.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import version_converter
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from offcut import card as cards
from offcut.imaging import files
from offcut.imaging.preprocess import preprocess

__all__ = ["FORMATS", "inputs", "quantized"]

OPSET = 17
FORMATS = {"qdq": QuantFormat.QDQ, "qoperator": QuantFormat.QOperator}


def quantized(model: Path, card: Path, photos: list[Path], cache: Path) -> dict[str, Path]:
    """Return a file per format of `model`, made again only when something that counts changed.

    photos: what to calibrate with; each is taken as it is and mirrored.
    """
    digest = hashlib.sha256(f"{onnxruntime.__version__} {onnx.__version__} {OPSET}".encode())
    for path in (model, card, *photos, Path(__file__)):
        digest.update(path.read_bytes())
    found = {name: cache / f"{name}-{digest.hexdigest()[:16]}.onnx" for name in FORMATS}
    if all(path.exists() for path in found.values()):
        return found
    cache.mkdir(parents=True, exist_ok=True)
    folded = cache / "folded.onnx"
    _fold(model, folded)
    images = [x for photo in photos for x in inputs(photo, card)]
    for name, path in found.items():
        part = path.with_suffix(".part")
        quantize_static(
            folded,
            part,
            _Photos(images, onnx.load(folded).graph.input[0].name),
            quant_format=FORMATS[name],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        part.rename(path)
    folded.unlink()
    return found


def inputs(photo: Path, card: Path) -> Iterator[np.ndarray]:
    """Yield the network's input for a photo and for its mirror image, f32 (1, 3, h, w)."""
    spec = cards.parse(card.read_text(encoding="utf-8"), card.name).input
    pixels = files.decode(photo.read_bytes(), photo.name)  # u8 (H, W, 4)
    yield preprocess(pixels, spec)
    yield preprocess(np.ascontiguousarray(pixels[:, ::-1]), spec)


def _fold(model: Path, folded: Path) -> None:
    """Write the model with constants folded and BatchNorm fused, in a newer opset."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    onnx.save(version_converter.convert_version(onnx.load(folded), OPSET), folded)
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer gives advice that was followed


class _Photos:
    """Hands the inputs to the quantizer one by one, as its CalibrationDataReader."""

    def __init__(self, images: list[np.ndarray], name: str) -> None:
        self._left: Iterator[dict[str, Any]] = iter([{name: x} for x in images])

    def get_next(self) -> dict[str, Any] | None:
        """Return the next input by name, None after the last."""
        return next(self._left, None)
