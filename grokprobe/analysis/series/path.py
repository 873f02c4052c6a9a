"""The path of a run's weights: its principal components, and the edge of its recent updates.

All parameters of a checkpoint are one vector w_t, t = 0..T-1, and d_t = w_t - w_(t-1) its update.
Everything comes from the products U_st = d_s . d_t, (T-1, T-1), so that no component is ever as
long as the weights:

    G = H L U L^T H                  L the sums over all updates so far, H = 1 - 1/T the centring
    G v_k = lambda_k v_k             coordinate of checkpoint t on component k = sqrt(lambda_k) v_kt
    share_k = lambda_k / tr G

Sign: the coordinate of the last checkpoint is positive, or where that is 0, of the first among
those farthest from 0. Source: docs/maths.md, "Path of the weights"; Antognini & Sohl-Dickstein
2018; for the edge Xu 2026.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, first_largest

WINDOW = 10  # updates, as in Xu 2026
AT_ONCE = 2**12  # numbers of each vector that are in float64 at the same time


class Path(NamedTuple):
    """Coordinates (checkpoints, count), 0 where there are fewer components, and shares (count,).

    Shares are None where the weights do not move. NaN and None beyond the numbers of float64.
    """

    coordinates: Array
    shares: Array | None


class Edge(NamedTuple):
    """How many directions stand out of the window's updates, and by what ratio.

    `position` is None where nothing moves; `ratio` too where what follows the edge is nothing.
    """

    position: int | None
    ratio: float | None


def update_products(a: NDArray[Any], b: NDArray[Any]) -> Array:
    """d_s . d_t of two stretches of vectors (n + 1, width), (m + 1, width), in float64: (n, m)."""
    found = np.zeros((len(a) - 1, len(b) - 1))
    for start in range(0, a.shape[1], AT_ONCE):
        part = slice(start, start + AT_ONCE)
        with np.errstate(over="ignore", invalid="ignore"):
            A = np.diff(a[:, part].astype(np.float64), axis=0)
            B = A if a is b else np.diff(b[:, part].astype(np.float64), axis=0)
            found += A @ B.T
    return found


def read_path(products: Array, count: int) -> Path:
    """The first `count` principal components of a path with these products of its updates."""
    coordinates = np.zeros((len(products) + 1, count))
    if not np.isfinite(products).all():
        return Path(coordinates * np.nan, None)
    G = _centred(np.cumsum(np.cumsum(np.pad(products, ((1, 0), (1, 0))), axis=0), axis=1))
    variance = float(np.trace(G))
    if variance < NEGLIGIBLE**2:
        return Path(coordinates, None)
    values, vectors = _largest(G, count)
    coordinates[:, : len(values)] = vectors * np.sqrt(values)
    shares = np.zeros(count)
    shares[: len(values)] = values / variance
    return Path(coordinates * _signs(coordinates), shares)


def random_walk_shares(steps: Sequence[int], count: int) -> Array | None:
    """The same shares of a random walk without end of dimensions, seen at these steps.

    Its increments have one variance a step and are independent: E[w_s . w_t] ~ min(s, t).
    """
    if len(steps) < 2:
        return None
    G = _centred(np.minimum.outer(steps, steps).astype(np.float64))
    shares, (values, _) = np.zeros(count), _largest(G, count)
    shares[: len(values)] = values / np.trace(G)
    return shares


def read_edges(products: Array, window: int = WINDOW) -> list[Edge]:
    """Of each update the edge among it and those before it; none for the first window - 1.

    With s_1 >= .. >= s_window the singular values of these updates as rows, the edge is the first
    k < window with the largest s_k / s_(k+1).
    """
    n = len(products) - window + 1
    if n < 1:
        return []
    every = [products[i : i + window, i : i + window] for i in range(n)]
    return [_edge(one) for one in every]


def _edge(products: Array) -> Edge:
    """Of one window; singular values below the resolution of the products are 0."""
    if not np.isfinite(products).all():
        return Edge(None, None)
    squares = np.linalg.eigvalsh(products)[::-1]
    if squares[0] < NEGLIGIBLE**2:
        return Edge(None, None)
    s = np.sqrt(np.where(squares > _resolution(products) * squares[0], squares, 0))
    kept = int(np.count_nonzero(s))
    if kept < len(s):
        return Edge(kept, None)
    ratios = s[:-1] / s[1:]
    k = int(first_largest(ratios))
    return Edge(k + 1, float(ratios[k]))


def _resolution(G: Array) -> float:
    """The share of the largest eigenvalue below which another is rounding."""
    return len(G) * float(np.finfo(np.float64).eps)


def _centred(G: Array) -> Array:
    """H G H, and symmetric to the bit."""
    G = G - G.mean(axis=0)
    G = G - G.mean(axis=1, keepdims=True)
    return np.asarray((G + G.T) / 2)


def _largest(G: Array, count: int) -> tuple[Array, Array]:
    """At most `count` of the largest eigenvalues, descending, and their vectors as columns."""
    values, vectors = np.linalg.eigh(G)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    there = values > _resolution(G) * max(values[0], 0)
    return values[there], vectors[:, there]


def _signs(coordinates: Array) -> Array:
    """1 or -1 for each column (count,), by the rule above."""
    size = np.abs(coordinates)
    columns = np.arange(coordinates.shape[1])
    last, farthest = coordinates[-1], coordinates[first_largest(size), columns]
    deciding = np.where(np.abs(last) > NEGLIGIBLE * size.max(axis=0), last, farthest)
    return np.where(deciding < 0, -1.0, 1.0)
