"""The Open Inference Protocol: model = run, version = step, no version = the latest step.

As in Triton's HTTP/REST protocol with its extensions binary tensor data, classification,
statistics, model repository and model configuration. What else Triton has (shared memory, traces,
log settings, uploads) is refused.
"""
