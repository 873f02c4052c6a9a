"""The layout of weights that the service gave by our own names: the file itself tells it."""

from pathlib import Path
from typing import Any

import msgspec

from grokprobe.errors import InvalidInput
from trainer.config.schema import TransformerShape
from trainer.importing.files import read_contents
from trainer.importing.tensors import OF_EMBEDDED_MLP, OF_LAYER, OF_ONE_HOT_MLP, OF_TRANSFORMER

OURS = "grokprobe"  # the layout's name, and that of these names of weights
METADATA = "__metadata__"


def layout_of(path: Path, limit: int) -> dict[str, Any]:
    """The tables of the layout of a file. Raises InvalidInput if it does not tell it."""
    contents = read_contents(path, limit)
    table = contents.table if isinstance(contents.table, dict) else {}
    try:
        about = msgspec.convert(table.get(METADATA), dict[str, str])
        architecture = msgspec.json.decode(about["config"], type=dict[str, Any])
        ours = about["names"] == OURS
    except (msgspec.MsgspecError, KeyError):
        ours = False
    if not ours:
        message = f"does not say how it is read: is it a model.safetensors with names={OURS}?"
        raise InvalidInput(str(path), message)
    names = [name for name in table if name != METADATA]
    model, axes = {"family": "mlp"}, OF_EMBEDDED_MLP if "W_E" in names else OF_ONE_HOT_MLP
    told = {"activation"}
    if architecture.get("family") != "mlp":
        model, axes = {}, OF_TRANSFORMER | OF_LAYER
        told = {*TransformerShape.__struct_fields__, "heads"}
        if architecture.get("tokens") == "a b":
            axes = axes | {"W_E": "p d_model"}
    model |= {name: fact for name, fact in architecture.items() if name in told}
    layered = any(name.startswith("blocks.0.") for name in names)
    tensors = {}
    for name in axes:
        source = f"blocks.{{layer}}.{name}" if layered and name in OF_LAYER else name
        if source.replace("{layer}", "0") in names:
            tensors[name] = {"source": source, "axes": axes[name]}
    return {"model": model, "step": {"field": f"{METADATA}.step"}, "tensors": tensors}
