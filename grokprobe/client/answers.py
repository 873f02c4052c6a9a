"""Answers: typed records that tables, arrays and pictures can be had of.

Tables and arrays are read in the service's own formats, so that they have the API's numbers; each
library is imported only when it is asked for.
"""

import copy
import importlib
import io
import itertools
from typing import TYPE_CHECKING, Any, Self

import msgspec

from grokprobe.client.asking import PICTURES, Source
from grokprobe.client.errors import ClientError, NotHere

if TYPE_CHECKING:
    import numpy as np

ROOM = 2000
MOST_ITEMS = (100, 20, 6, 3, 1)  # of a list: the first of these with which a record has room


class Record(msgspec.Struct):
    """A part of an answer; fields that this version does not know are left out."""

    def to_dict(self) -> dict[str, Any]:
        """The record as plain dictionaries and lists."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def __repr__(self) -> str:
        """As it would be made, in at most about ROOM letters; what is left out is counted."""
        for most in MOST_ITEMS:
            text = _short(self, most)
            if len(text) <= ROOM:
                return text
        return f"{text[:ROOM]}... {len(text) - ROOM} letters more"


class Table:
    """What can be had of an answer beside its record."""

    def _source(self) -> Source:
        source: Source | None = self.__dict__.get("source")
        if source is None:
            raise NotHere(
                "this answer does not know its service, as one that was pickled, which takes no "
                "key along: ask for it again, or pickle the table itself"
            )
        return source

    def _fetch(self, form: str, why: str) -> bytes:
        formats = self._source().formats
        if form not in formats:
            offered = ", ".join(formats) or "nothing else"
            raise NotHere(f"this answer has no {why}; on offer: {offered}")
        return self._source().fetch(format=form)

    def to_json(self) -> bytes:
        """The service's own JSON."""
        return self._source().fetch(format="json")

    def to_arrow(self) -> Any:
        """The table, as a pyarrow.Table with typed columns."""
        ipc = library("pyarrow.ipc")
        return ipc.open_stream(self._fetch("arrow", "table")).read_all()

    def to_pandas(self) -> Any:
        """The table, as a pandas.DataFrame (by way of Arrow)."""
        library("pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The table, as a polars.DataFrame."""
        polars = library("polars")
        return polars.read_ipc_stream(io.BytesIO(self._fetch("arrow", "table")))

    def to_numpy(self) -> "np.ndarray[Any, Any]":
        """The array of the service where it has one, else the table as a structured array.

        Columns of a structured array that are no numbers or truth values are objects.
        """
        import numpy as np

        if "npy" in self._source().formats:
            data = self._fetch("npy", "array")
            found: np.ndarray[Any, Any] = np.load(io.BytesIO(data), allow_pickle=False)
            return found
        table = self.to_arrow()
        columns = [column.to_numpy() for column in table.columns]
        kinds = [
            (name, column.dtype) for name, column in zip(table.column_names, columns, strict=True)
        ]
        rows = np.empty(table.num_rows, dtype=kinds)
        for (name, _), column in zip(kinds, columns, strict=True):
            rows[name] = column
        return rows

    def to_markdown(self) -> str:
        """The answer as Markdown: a run's card."""
        return self._fetch("markdown", "Markdown").decode()

    def picture(
        self,
        form: str = "svg",
        *,
        theme: str | None = None,
        scale: float | None = None,
        **more: Any,
    ) -> bytes:
        """The answer as a picture: svg, png, pdf, or vega-lite (its specification, as JSON).

        `more` are `width` of a png, `lines` of an embedding and `chart` of a group's emergence.
        """
        if form not in self._source().formats or form not in PICTURES:
            offered = [name for name in PICTURES if name in self._source().formats]
            raise NotHere(f"no picture {form!r}; on offer: {', '.join(offered) or 'none'}")
        return self._source().fetch(format=form, theme=theme, scale=scale, **more)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """What a notebook shows: a picture where there is one, always text."""
        found: dict[str, Any] = {"text/plain": repr(self)}
        source: Source | None = self.__dict__.get("source")
        if source is None or "vega-lite" not in source.formats:
            return found
        try:
            chart = msgspec.json.decode(source.fetch(format="vega-lite"))
            found["application/vnd.vegalite.v5+json"] = chart
            found["image/png"] = source.fetch(format="png")
        except ClientError:  # pictures are turned off there, or the service has gone
            pass
        return found


class Answer(Table, Record, dict=True):
    """An answer of the service. A copy has its tables; pickled it is a record alone."""

    def __copy__(self) -> Self:
        """With the same parts."""
        return self._beside(msgspec.structs.replace(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """With copies of its parts."""
        parts = {name: getattr(self, name) for name in self.__struct_fields__}
        return self._beside(type(self)(**copy.deepcopy(parts, memo)))

    def _beside(self, other: Self) -> Self:
        other.__dict__.update(self.__dict__)
        return other


class Array(Table):
    """An answer that is an array first: logits, activations, a weight."""

    def __init__(self, data: bytes, source: Source) -> None:
        self._data = data
        self.source = source

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the array alone, since the source has the service's key."""
        return {"_data": self._data}

    def __copy__(self) -> Self:
        """Itself: nothing changes it."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: nothing changes it."""
        return self

    def to_numpy(self) -> "np.ndarray[Any, Any]":
        """The array, without another request."""
        import numpy as np

        found: np.ndarray[Any, Any] = np.load(io.BytesIO(self._data), allow_pickle=False)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "np.ndarray[Any, Any]":
        """For numpy itself."""
        found = self.to_numpy()
        return found if dtype is None else found.astype(dtype)

    def __repr__(self) -> str:
        """Shape and type."""
        values = self.to_numpy()
        return f"Array(shape={values.shape}, dtype={values.dtype})"


def last_step(answer: Answer) -> int | None:
    """The last step of a series; None where it has none."""
    if isinstance(found := getattr(answer, "last_step", None), int):  # its rows are not steps
        return found
    lists = [getattr(answer, name) for name in answer.__struct_fields__]
    rows = [found[-1] for found in lists if isinstance(found, list) and found]
    steps = [row["step"] if isinstance(row, dict) else getattr(row, "step", None) for row in rows]
    return max((step for step in steps if isinstance(step, int)), default=None)


def _short(value: Any, most: int) -> str:
    """The repr of a value, of whose lists so many items are shown."""
    if isinstance(value, Record):
        fields = (
            f"{name}={_short(getattr(value, name), most)}" for name in value.__struct_fields__
        )
        return f"{type(value).__name__}({', '.join(fields)})"
    if isinstance(value, str) and len(value) > ROOM:
        return f"{value[: 10 * most]!r}... {len(value) - 10 * most} letters more"
    if isinstance(value, dict):
        shown = itertools.islice(value.items(), most)
        parts = [f"{name!r}: {_short(item, most)}" for name, item in shown]
    elif isinstance(value, list):
        parts = [_short(item, most) for item in value[:most]]
    else:
        return repr(value)
    if len(value) > most:
        parts.append(f"... {len(value) - most} more")
    text = ", ".join(parts)
    return f"{{{text}}}" if isinstance(value, dict) else f"[{text}]"


def library(name: str) -> Any:
    """A library, now that it is asked for. Raises NotHere where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise NotHere(f"{package} is not installed: pip install {package}") from error
