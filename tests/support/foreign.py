"""Checkpoints as others save them: the tensors of a network under TransformerLens' names."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from tests.support.trained import Trained
from trainer.config.schema import TransformerSection
from trainer.importing.files import read_contents
from trainer.importing.layout import Layout, load_layout
from trainer.models.export import Weights
from trainer.models.transformer import Transformer

SMALL = TransformerSection(d_model=12, heads=2, d_head=5, d_mlp=16)
State = dict[str, Any]


def transformer_lens(W: Weights, section: TransformerSection) -> State:
    """The state dictionary of a network: heads apart, a column for "=" that has its own weights."""
    heads, d_head, d_model = section.heads, section.d_head, section.d_model
    t = {name: torch.from_numpy(np.array(weight)) for name, weight in W.items()}
    state = {
        "embed.W_E": t["W_E"],
        "pos_embed.W_pos": t["W_pos"],
        "blocks.0.attn.W_O": t["W_O"].view(heads, d_head, d_model),
        "blocks.0.mlp.W_in": t["W_in"],
        "blocks.0.mlp.W_out": t["W_out"],
        "unembed.W_U": torch.cat([t["W_U"], torch.ones(d_model, 1)], dim=1),
        "blocks.0.attn.mask": torch.ones(3, 3, dtype=torch.bool),
        "blocks.0.attn.IGNORE": torch.tensor(-torch.inf),
    }
    for matrix in "QKV":
        per_head = t[f"W_{matrix}"].view(d_model, heads, d_head)
        state[f"blocks.0.attn.W_{matrix}"] = per_head.transpose(0, 1).contiguous()
    for name in ("b_in", "b_out"):
        if name in t:
            state[f"blocks.0.mlp.{name}"] = t[name]
    return state


def small(seed: int = 0, section: TransformerSection = SMALL, modulus: int = 7) -> State:
    """The state dictionary of a network that nobody trained."""
    weights = Transformer(section, modulus, seed).state_dict()
    return transformer_lens({name: w.numpy() for name, w in weights.items()}, section)


def lens(*assignments: str, step: int | None = 5) -> Layout:
    """The shipped layout of TransformerLens with some fields changed."""
    return load_layout("transformer_lens", assignments, step)


def save(state: State, path: Path) -> Path:
    """Write a file of the kind that its suffix says."""
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    elif path.suffix == ".npz":
        arrays: Any = {name: np.asarray(value) for name, value in state.items()}
        np.savez(path, **arrays)
    else:
        torch.save(state, path)
    return path


def read_back(state: State, folder: Path) -> State:
    """A state dictionary as it is read from a file."""
    [found] = read_contents(save(state, folder / "state.pt"), 10**7).states("", ())
    return found


def weights_of(run: Trained, step: int) -> Weights:
    """The parameters of a published checkpoint."""
    import onnx

    folder = run.folder / "checkpoints" / f"{step:010d}"
    proto = onnx.load_model_from_string((folder / "model.onnx").read_bytes())
    return {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}


def saved(run: Trained, steps: Iterable[int], folder: Path) -> list[Path]:
    """Checkpoints of a run as somebody else would have saved them, one file each."""
    section = run.config.model
    assert isinstance(section, TransformerSection)
    return [
        save(transformer_lens(weights_of(run, step), section), folder / f"at_{step}.pt")
        for step in steps
    ]
