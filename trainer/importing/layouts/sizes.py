"""The sizes of a network, read off the tensors of a file by the names of their axes."""

from math import prod

from grokprobe.errors import InvalidInput
from trainer.importing.layout import Layout, TransformerLayout


class Sizes:
    """How long each axis is, and who said so first."""

    def __init__(self, layout: Layout, where: str) -> None:
        self._where, self._equals = where, 0
        self._known = {"1": (1, "its name")}
        if isinstance(layout, TransformerLayout):
            self._equals = int(layout.model.tokens == "a b =")
            self._known["tokens"] = (2 + self._equals, "model.tokens")
            if layout.model.heads is not None:
                self._known["heads"] = (layout.model.heads, "model.heads")
        if layout.task.modulus is not None:
            self._know_modulus(layout.task.modulus, "task.modulus")

    def _know_modulus(self, p: int, who: str) -> None:
        self._known["p"] = (p, who)
        self._known["vocabulary"] = (p + self._equals, who)

    @property
    def known(self) -> dict[str, int]:
        """The lengths that somebody has told."""
        return {axis: length for axis, (length, _) in self._known.items()}

    def __getitem__(self, axis: str) -> int:
        return self._known[axis][0]

    def who(self, axis: str) -> str:
        """Who said how long an axis is."""
        return self._known[axis][1]

    def get(self, axis: str) -> int | None:
        """The length of an axis; None if nobody has said so yet."""
        return self[axis] if axis in self._known else None

    def note(self, axes: list[str], length: int, who: str) -> None:
        """Note that `who` makes axes, multiplied, so long. Raises InvalidInput if others do not."""
        missing = [axis for axis in axes if axis not in self._known]
        known = [axis for axis in axes if axis in self._known]
        rest = prod(self[axis] for axis in known)
        if len(missing) > 1:
            message = f"{who} does not tell {' from '.join(missing)}; state model.heads"
            raise InvalidInput(self._where, message)
        if length % rest if missing else length != rest:
            others = " and ".join(dict.fromkeys(self._known[axis][1] for axis in known))
            message = f"{who} makes {' * '.join(axes)} {length}, but {' * '.join(known)} is {rest}"
            raise InvalidInput(self._where, f"{message} by {others}")
        for axis in missing:
            self._known[axis] = (length // rest, who)
            if axis in ("p", "vocabulary"):
                self._know_modulus(length // rest - self._equals * (axis != "p"), who)
