"""Models as files: skops archives, ONNX graphs."""
