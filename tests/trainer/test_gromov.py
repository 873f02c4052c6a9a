"""The known answer of the MLP: Gromov 2023 memorises near step 20 and generalises near step 40."""

import torch
from torch import Tensor
from torch.nn import functional

from trainer.config.schema import MLPSection, TaskSection
from trainer.learning.data import draw
from trainer.models import make_network

MODULUS = 97


def test_gromov_generalises_near_step_40() -> None:
    """With that paper's optimiser and squared error, in ten lines of plain torch."""
    grid = draw(TaskSection(modulus=MODULUS, train_fraction=0.5))
    assert grid.train is not None
    pairs, answers = torch.from_numpy(grid.pairs), torch.from_numpy(grid.answers)
    train = torch.from_numpy(grid.train)
    model = make_network(MLPSection(), MODULUS, seed=0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=5.0)
    targets = functional.one_hot(answers[train], MODULUS).float()

    def accuracy(part: Tensor) -> float:
        with torch.no_grad():
            hits: Tensor = model(pairs[part]).logits.argmax(1) == answers[part]
        return hits.double().mean().item()

    found = {}
    for step in range(49):
        if step in (15, 24, 33, 48):
            found[step] = accuracy(train), accuracy(~train)
        loss = functional.mse_loss(model(pairs[train]).logits, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    assert found[15][0] < 0.99 <= found[24][0]
    assert found[24][1] < 0.5
    assert found[33][1] < 0.99 <= found[48][1]
