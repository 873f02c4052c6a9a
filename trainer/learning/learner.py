"""Networks that learn side by side: one, or the members of an ensemble as one computation.

The members' weights lie stacked in tensors (members, ...). One forward pass, vectorised over them,
gives every member's loss; the sum of the losses gives every gradient, because no member's loss
depends on another's weights. The optimiser sees each member's part as tensors of its own; on a GPU,
where all members have one rate and one decay, the stacked tensors themselves.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from trainer.config.schema import Config
from trainer.learning.batches import Batches
from trainer.learning.cuda_graph import Captured, Gradients, can_compile, compiled
from trainer.learning.data import Grid
from trainer.learning.gradient_transforms import Transforms
from trainer.learning.losses import LOSSES
from trainer.learning.optimisers import make_optimisers, set_rate, share_of_rate
from trainer.learning.snapshot import Snapshot, take
from trainer.models import make_network

COMPILED_FROM = 200_000  # run-steps: compiling takes 20 s, and saves 0.07 to 0.3 ms of each
SLOW = "grokfast"  # the kind of moment that is not the optimiser's


class Learner:
    """Where training stands: weights, moments, step. `losses` and `update` move it on by one."""

    def __init__(
        self, configs: Sequence[Config], grids: Sequence[Grid], device: torch.device
    ) -> None:
        """The initial weights of every member; their configurations differ in seed, rates and data.

        Raises InvalidInput (Batches).
        """
        self.configs, self.device, self.step = configs, device, 0
        self._section = configs[0].training
        self._batches = Batches(configs, grids, device)
        self._samples = [torch.from_numpy(grid.sample()).to(device) for grid in grids]
        networks = [
            make_network(c.model, c.task.modulus, c.training.seed).to(device) for c in configs
        ]
        self._network = networks[0]  # the form of all
        if len(networks) == 1:
            self._stack: dict[str, Tensor] = {}
            self.members: list[dict[str, Tensor]] = [dict(self._network.named_parameters())]
        else:
            self._stack, self.members = _stacked(networks)
        first, on_gpu = configs[0].optimiser, device.type == "cuda"
        # A recorded step would keep the learning rate that muon takes as a number.
        self._captures = on_gpu and first.name != "muon"
        pays = len(configs) * self._section.steps >= COMPILED_FROM
        self._compiles = self._captures and pays and can_compile()
        # A GPU updates one member's weights hardly faster than those of all.
        shared = bool(self._stack) and all(c.optimiser == first for c in configs)
        self._together = self._captures and shared
        parts = [(c.optimiser, own) for c, own in zip(configs, self.members, strict=True)]
        self._optimisers = make_optimisers([(first, self._stack)] if self._together else parts)
        self._transforms = Transforms(first)
        self._owner = {
            id(weights): optimiser
            for optimiser in self._optimisers
            for group in optimiser.param_groups
            for weights in group["params"]
        }
        self._share_of_rate = -1.0
        self._captured: Captured | None = None  # made by `advance`
        self._compiled: Callable[[], Gradients] | None = None

    # -- one step ----------------------------------------------------------------------------

    def losses(self) -> Tensor:
        """The train loss of each member at this step, float64 (members,), with its gradients."""
        self._batches.load(self.step)
        return self._losses()

    def update(self, losses: Tensor) -> None:
        """One optimiser update of every member from the losses at this step."""
        self._set_rate()
        self._differentiate(losses)
        self.step += 1

    def advance(self, until: int) -> list[list[float]]:
        """Update until a step, and the losses (steps, members) at each step on the way there.

        On a GPU the work of a step is captured once and replayed, without waiting in between.
        """
        count = until - self.step
        history = torch.zeros(count, len(self.members), dtype=torch.float64, device=self.device)
        self._captured = self._captured or Captured(self._work, self._captures)
        for row in history:
            self._batches.load(self.step)
            self._set_rate()
            row.copy_(self._captured())
            self.step += 1
        return history.tolist()

    def _work(self) -> Tensor:
        allowed = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = self._section.precision == "tf32"
        if self._compiles:
            losses = self._compiled_losses()
            self._move()
        else:
            losses = self._losses()
            self._differentiate(losses)
        torch.backends.cuda.matmul.allow_tf32 = allowed  # what is published is float32
        return losses.detach()

    def _compiled_losses(self) -> Tensor:
        """The losses, with the gradients in place already."""
        self._compiled = self._compiled or compiled(self._gradients)
        losses, gradients = self._compiled()
        if self._stack:
            torch._foreach_copy_([w.grad for w in self._leaves if w.grad is not None], gradients)
        else:
            for weights, gradient in zip(self._leaves, gradients, strict=True):
                weights.grad = gradient
        return losses

    def _gradients(self) -> Gradients:
        losses = self._losses()
        gradients = torch.autograd.grad(losses.sum(), self._leaves)
        return losses, [gradient.contiguous() for gradient in gradients]

    @property
    def _leaves(self) -> list[Tensor]:
        return list((self._stack or self.members[0]).values())

    def _losses(self) -> Tensor:
        batches, loss = self._batches, LOSSES[self._section.loss]
        with self._precision():
            logits = self._logits(batches.pairs)
        answers = batches.answers
        if self._stack and answers.ndim == 1:
            answers = answers.expand(len(logits), -1)
        return loss(logits, answers, batches.share).reshape(-1)

    def _logits(self, pairs: Tensor) -> Tensor:
        if not self._stack:
            logits: Tensor = self._network(pairs).logits
            return logits

        def of_member(weights: dict[str, Tensor], pairs: Tensor) -> Tensor:
            logits: Tensor = functional_call(self._network, weights, (pairs,)).logits
            return logits

        return vmap(of_member, in_dims=(0, 0 if pairs.ndim == 3 else None))(self._stack, pairs)

    def _precision(self) -> AbstractContextManager[object]:
        if self._section.precision != "bfloat16":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _set_rate(self) -> None:
        config = self.configs[0]
        share = share_of_rate(config.optimiser, self.step, config.training.steps)
        if share != self._share_of_rate:  # on a GPU each change is a kernel
            set_rate(self._optimisers, share)
            self._share_of_rate = share

    def _differentiate(self, losses: Tensor) -> None:
        """Gradients and what follows from them."""
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self._move()

    def _move(self) -> None:
        """From gradients to the next step's weights, and no gradients."""
        self._transforms([w for member in self.members for w in member.values()])
        for optimiser in self._optimisers:
            optimiser.step()
        # The members' gradients are views of the stack's, which must stay where it is.
        if self._stack:
            torch._foreach_zero_([w.grad for w in self._stack.values() if w.grad is not None])
        else:
            for weights in self.members[0].values():
                weights.grad = None

    # -- where it stands ---------------------------------------------------------------------

    def snapshot(self, member: int, moments: bool = True) -> Snapshot:
        """A copy of a member; training goes on with its own memory."""
        weights = self.members[member]
        with torch.no_grad():
            logits = functional_call(self._network, weights, (self._samples[member],)).logits
        kept = self._moments(member) if moments else {}
        return take(self.step, weights, logits, kept)

    def restore(self, member: int, snapshot: Snapshot) -> None:
        """Put a member where a snapshot was taken, all at one step. ValueError for another."""
        self.step = snapshot.step
        with torch.no_grad():
            for name, weights in self.members[member].items():
                weights.copy_(torch.from_numpy(snapshot.weights[name]))
        for place, array in snapshot.moments.items():
            kind, _, name = place.partition(".")
            if array.size > 1 and array.shape != self.members[member][name].shape:
                raise ValueError(f"{place} has shape {array.shape}")
            tensor = torch.from_numpy(array.copy()).to(self.device)
            if kind == SLOW:
                self._transforms.slow[id(self.members[member][name])] = tensor
                continue
            weights = self._updated(member, name)
            state = self._owner[id(weights)].state[weights]
            if self._together and tensor.ndim:  # not the count of updates, the same for all
                state.setdefault(kind, torch.zeros_like(weights))[member] = tensor
            else:
                state[kind] = tensor

    def _updated(self, member: int, name: str) -> Tensor:
        """What the optimiser updates: a member's weights, or those of all."""
        return (self._stack if self._together else self.members[member])[name]

    def _moments(self, member: int) -> dict[str, Tensor]:
        """What optimiser and transforms keep of a member's parameters, by `kind.name`."""
        kept = {}
        for name, weights in self.members[member].items():
            updated = self._updated(member, name)
            for kind, value in self._owner[id(updated)].state[updated].items():
                if isinstance(value, Tensor):
                    own = value[member] if self._together and value.ndim else value
                    kept[f"{kind}.{name}"] = own
            if id(weights) in self._transforms.slow:
                kept[f"{SLOW}.{name}"] = self._transforms.slow[id(weights)]
        return kept


def _stacked(networks: Sequence[nn.Module]) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """The stacked weights, and each member's part as leaves with gradients of their own."""
    stack = {
        name: torch.stack([dict(n.named_parameters())[name].detach() for n in networks])
        for name, _ in networks[0].named_parameters()
    }
    gradients = {name: torch.zeros_like(weights) for name, weights in stack.items()}
    for name, weights in stack.items():
        weights.requires_grad_().grad = gradients[name]
    members = []
    for number in range(len(networks)):
        own = {name: weights.detach()[number] for name, weights in stack.items()}
        for name, weights in own.items():
            weights.grad = gradients[name][number]
        members.append(own)
    return stack, members
