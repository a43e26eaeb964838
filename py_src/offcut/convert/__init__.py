"""From an ONNX file to a small model file: read, trace, fuse, repair, quantize. Offline only."""
