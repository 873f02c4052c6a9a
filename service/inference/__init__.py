"""ONNX Runtime and all that guards it."""
