"""Textbook forms, used as slow twins: all positions, all heads, ordinary attention, autograd.

The formulas are those of Nanda et al. 2023 (appendix A), Zhong et al. 2023 (section 2), Vaswani et
al. 2017 and Gromov 2023 as any textbook writes them; nothing is shared with trainer/models or
trainer/loss.
"""

from collections.abc import Callable, Mapping
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional

from trainer.config.schema import MLPSection, TransformerSection


def attend(
    W: Mapping[str, Tensor],
    x: Tensor,
    heads: int,
    rate: float,
    scale: float | None,
    seen: Tensor,
) -> tuple[Tensor, Tensor]:
    """Attention of x (n, tokens, d_model): its pattern (n, heads, tokens, tokens), output.

    rate * softmax + (1 - rate), Zhong et al. 2023, where `seen` (tokens, tokens) is true, else 0.
    `scale` is 1/sqrt(d_head) unless given.
    """
    n, tokens, _ = x.shape
    q, k, v = (
        (x @ W[f"W_{m}"] + W.get(f"b_{m}", 0.0)).view(n, tokens, heads, -1).transpose(1, 2)
        for m in "QKV"
    )
    scores = q @ k.transpose(-1, -2) * (scale or 1 / sqrt(q.shape[-1]))
    softmax = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    pattern = (rate * softmax + (1 - rate)) * seen
    z = (pattern @ v).transpose(1, 2).reshape(n, tokens, -1)
    return pattern, z @ W["W_O"] + W.get("b_O", 0.0)


def embedded(W: Mapping[str, Tensor], pairs: Tensor) -> Tensor:
    """Tokens [a, b] or, with a third position, [a, b, =]: (n, tokens, d_model).

    The second token is a word of the vocabulary W_E_b, where there is one.
    """
    a, b = pairs.T
    tokens = [W["W_E"][a], W.get("W_E_b", W["W_E"])[b]]
    if len(W["W_pos"]) == 3:
        tokens.append(W["W_E"][-1].expand_as(tokens[0]))
    return torch.stack(tokens, dim=1) + W["W_pos"]


def of_last_token(
    W: Mapping[str, Tensor], logits: Tensor, neurons: Tensor, pattern: Tensor
) -> dict[str, Tensor]:
    """What a transformer shows, of all positions the last, but for the neuron-logit map."""
    own_vocabulary = {"embedding_b": W["W_E_b"]} if "W_E_b" in W else {}
    return own_vocabulary | {
        "logits": logits[:, -1],
        "neurons": neurons[:, -1],
        "attention": pattern[:, :, -1],
        "embedding": W["W_E"][: W["W_U"].shape[1]],
        "unembedding": W["W_U"].T,
    }


def transformer(
    W: Mapping[str, Tensor],
    pairs: Tensor,
    heads: int,
    *,
    rate: float = 1.0,
    scale: float | None = None,
    activation: Callable[[Tensor], Tensor] = torch.relu,
) -> dict[str, Tensor]:
    """The one-layer transformer."""
    residual = embedded(W, pairs)
    causal = torch.ones(len(W["W_pos"]), len(W["W_pos"]), dtype=torch.bool).tril()
    pattern, attended = attend(W, residual, heads, rate, scale, causal)
    residual = residual + attended
    neurons = activation(residual @ W["W_in"] + W.get("b_in", 0.0))
    residual = residual + neurons @ W["W_out"] + W.get("b_out", 0.0)
    logits = residual @ W["W_U"] + W.get("b_U", 0.0)
    neuron_logit_map = (W["W_out"] @ W["W_U"]).T
    return of_last_token(W, logits, neurons, pattern) | {"neuron_logit_map": neuron_logit_map}


def layer_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Each row of x (..., d_model) with mean 0 and variance 1, times w, plus b."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * w + b


def layered(
    W: Mapping[str, Tensor],
    pairs: Tensor,
    section: TransformerSection,
    activation: Callable[[Tensor], Tensor],
) -> dict[str, Tensor | None]:
    """Transformers of any depth: every layer at every position of every pair."""

    def normed(where: str, prefix: str, x: Tensor) -> Tensor:
        there = section.layer_norm == where
        return layer_norm(x, W[f"{prefix}_w"], W[f"{prefix}_b"]) if there else x

    x = embedded(W, pairs)
    tokens = x.shape[1]
    seen = torch.ones(tokens, tokens, dtype=torch.bool)
    seen = seen.tril() if section.causal else seen
    for i in range(section.layers):
        block = {n.removeprefix(f"blocks.{i}."): w for n, w in W.items() if f"blocks.{i}." in n}
        y = normed("pre", f"blocks.{i}.ln1", x)
        scale = None if isinstance(section.attention_scale, str) else section.attention_scale
        pattern, z = attend(block, y, section.heads, section.attention_rate, scale, seen)
        x = normed("post", f"blocks.{i}.ln1", x + z)
        y = normed("pre", f"blocks.{i}.ln2", x)
        neurons = activation(y @ block["W_in"] + block.get("b_in", 0.0))
        x = x + neurons @ block["W_out"] + block.get("b_out", 0.0)
        x = normed("post", f"blocks.{i}.ln2", x)
    logits = normed("pre", "ln_final", x) @ W["W_U"] + W.get("b_U", 0.0)
    exact = section.layer_norm == "none"
    neuron_logit_map = (block["W_out"] @ W["W_U"]).T if exact else None
    return {
        **of_last_token(W, logits, neurons, pattern),
        "neuron_logit_map": neuron_logit_map,
    }


def image(table: Tensor, W_in: Tensor) -> Tensor:
    """What each residue, a row of a table (p, d_model), adds to each neuron's pre-activation."""
    return torch.stack([torch.stack([(row * w).sum() for w in W_in.T]) for row in table])


def _image_b(W: Mapping[str, Tensor], table_b: Tensor | None, embeds: bool) -> Tensor | None:
    if not embeds:
        return table_b
    return image(W["W_E"] if table_b is None else table_b, W.get("W_in_b", W["W_in"]))


def mlp(
    W: Mapping[str, Tensor],
    pairs: Tensor,
    section: MLPSection,
    activation: Callable[[Tensor], Tensor],
) -> dict[str, Tensor | None]:
    """The network of one hidden layer: one-hot vectors times matrices."""
    p = W["W_out"].shape[1]
    embeds, joins = section.inputs == "embedding", section.join == "concatenate"
    separate = section.vocabularies == "separate"
    a, b = functional.one_hot(pairs, p).to(W["W_in"].dtype).unbind(1)
    W_in = W["W_in"]
    if embeds:
        a, b = a @ W["W_E"], b @ W.get("W_E_b", W["W_E"])
        x = torch.cat([a, b], dim=1) if joins else a + b
        W_in = torch.cat([W_in, W["W_in_b"]]) if joins else W_in
    elif joins or separate:
        x, W_in = torch.cat([a, b], dim=1), torch.cat([W_in, W["W_in_b"]])
    else:
        x = a + b
    neurons = activation(x @ W_in + W.get("b_in", 0.0))
    own_part = joins or separate  # b's own table, or its own part of W_in
    table = W["W_E"] if embeds else W["W_in"]
    table_b = W.get("W_E_b") if embeds else W.get("W_in_b")
    return {
        "logits": neurons @ W["W_out"] + W.get("b_out", 0.0),
        "neurons": neurons,
        "attention": None,
        "embedding": table,
        "embedding_b": table_b,
        "effective_embedding": image(table, W["W_in"]) if embeds else table,
        "effective_embedding_b": _image_b(W, table_b, embeds) if own_part else None,
        "unembedding": None,
        "neuron_logit_map": W["W_out"].T,
    }


def cross_entropy(logits: Tensor, answers: Tensor) -> Tensor:
    """Mean cross-entropy in nats from the float64 log-softmax."""
    log_probabilities = functional.log_softmax(logits.double(), dim=1)
    return -log_probabilities[torch.arange(len(answers)), answers].mean()
