"""What an ONNX file may hold, and what running it takes, known before ONNX Runtime sees it."""
