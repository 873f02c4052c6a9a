"""The tools: each asks a service for one answer and tells the head of it.

The docstrings and the words beside the arguments are what an assistant reads. What a service
refuses comes out as it is raised: the server makes words of it.
"""

from typing import Any

from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError

from grokprobe.agents import arguments as given
from grokprobe.agents import words
from grokprobe.agents.refusals import no_picture, unknown
from grokprobe.analysis.measures_table import MEASURES
from grokprobe.client.asynchronous.checkpoint import AsyncCheckpoint
from grokprobe.client.asynchronous.client import AsyncClient
from grokprobe.client.asynchronous.run import AsyncRun
from grokprobe.client.errors import ClientError, InvalidRequest, NotFound

HEADLINE = (
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "key_share"),
    *("restricted_loss", "excluded_loss", "gini_embedding", "weight_norm", "neurons_clustered"),
)
MEANINGS = {measure.name: measure.meaning for measure in MEASURES}


class Tools:
    """Every public method is a tool."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def runs(
        self,
        operation: given.Operation = None,
        modulus: given.Modulus = None,
        status: given.Status | None = None,
        group: given.Group = None,
        contains: given.Part = "",
        after: given.After = "",
    ) -> str:
        """List published runs: each one training of a small network on modular arithmetic.

        By name; `count` is of all that match. `test_accuracy` is that of the latest step.
        """
        found = await self._client.runs(
            operation=operation, modulus=modulus, status=status, group=group
        )
        matching = [row for row in found.runs if contains in row.run]
        shown = ("run", "operation", "modulus", "status", "latest_step", "test_accuracy")
        rows = [words.some(row, shown) for row in matching if row.run > after]
        return words.told({"count": len(matching), "runs": rows}, words.more(found), rows=["runs"])

    async def run(self, run: given.RunName) -> str:
        """What a run is: task, train/test split, configuration, status, digests, how to cite it.

        Steps count optimiser updates. `memorised` and `generalised` are the first steps from which
        train and test accuracy stay at or above 0.99; null if that did not happen.
        """
        found = await self._run(run)
        card = await found.card()
        facts = words.some(
            found.about,
            (
                *("run", "group", "status", "task", "seed", "checkpoint_count", "first_step"),
                *("latest_step", "memorised_step", "generalised_step", "key_frequencies"),
                *("architecture", "optimiser"),
            ),
        )
        cite = words.of_a_run(card) | ({"text": card.citation.text} if card.citation else {})
        cut = ["optimiser", "architecture", "key_frequencies"]
        return words.told(
            facts, words.more(found.about), rows=cut, cite=cite, page=words.page(card, card.run)
        )

    async def emergence(self, run: given.RunName) -> str:
        """When a run memorised and generalised, and when structure emerged beside that.

        `series`: the steps at which each series leaves its first level (onset), is half-way
        (midpoint) and stays at its last (settled), each as [step, low, high]. `lags`: steps behind
        test accuracy, negative if before. `phases`: steps of memorisation, circuit formation and
        cleanup. `p_values`: of nulls of the last checkpoint's concentration on few frequencies.
        """
        found = await self._run(run)
        answer, card = await found.emergence(), await found.card()
        facts, cut = words.emerged(answer), ["lags", "series", "key_frequencies"]
        cite, at = words.of_a_run(card), words.page(card, card.run)
        return words.told(facts, words.more(answer), rows=cut, cite=cite, page=at)

    async def measures(
        self,
        run: given.RunName,
        step: given.Step = "latest",
        names: given.Names = None,
    ) -> str:
        """Scalars of one checkpoint: losses in nat, accuracies and shares from 0 to 1.

        With `names`, what each means; without, the main ones, and `others` lists the rest. Null is
        what this checkpoint does not have.
        """
        checkpoint = await self._checkpoint(run, step)
        try:
            answer = await checkpoint.measures(names)
        except InvalidRequest:
            for name in {*(names or [])} - MEANINGS.keys():
                listed = "without `names` all are listed"
                raise ToolError(unknown("measure", name, MEANINGS, listed)) from None
            raise
        found = answer.measures
        chosen = names or [name for name in HEADLINE if name in found]
        facts = {
            **words.some(answer, ("run", "step", "provisional")),
            "keys": answer.keys and answer.keys.frequencies,
            "measures": [
                {"measure": name, "value": found.get(name)}
                | ({"meaning": MEANINGS.get(name)} if names else {})
                for name in chosen
            ],
            "others": sorted(found.keys() - set(chosen)),
        }
        cut = ["others", "measures", "keys"]
        return words.told(facts, words.more(answer), rows=cut, cite=await self._cite(answer))

    async def compare(self, a: given.Address, b: given.Address) -> str:
        """Two checkpoints side by side: answers by split, key frequencies, weights.

        The weights that changed most come first, by the distance relative to both norms. A split of
        null is all pairs.
        """
        first, second = [await self._at(one) for one in (a, b)]
        answer = await self._client.compare(first, second)
        parts = ("split_a", "split_b", "pairs", "accuracy_a", "accuracy_b", "loss_a", "loss_b")
        weights = sorted(answer.weights or [], key=words.relative_distance, reverse=True)
        shown = ("name", "distance", "cosine", "norm_a", "norm_b")
        facts = {
            "identical": answer.identical,
            "parts": [
                words.some(p, (*parts, "wrong_to_right", "right_to_wrong")) for p in answer.parts
            ],
            "keys": [
                words.some(k, ("frequency", "change", "share_a", "share_b"))
                for k in answer.keys or []
            ],
            "weights": [words.some(w, shown) for w in weights],
            "weights_in_order": [w.name for w in weights],
        }
        cut = ["weights", "weights_in_order", "keys", "parts"]
        cite = {"a": await self._cite(answer.a), "b": await self._cite(answer.b)}
        return words.told(facts, words.more(answer), rows=cut, cite=cite)

    async def predict(
        self,
        run: given.RunName,
        pairs: given.Pairs,
        step: given.Step = "latest",
    ) -> str:
        """What a checkpoint answers to pairs (a, b), beside the right answer.

        `split` says whether the pair was trained on; `probability` is that of what it predicts;
        `loss` is in nat; `correct` counts the pairs that are right.
        """
        checkpoint = await self._checkpoint(run, step)
        answer = await checkpoint.predict([(a, b) for a, b in pairs])
        shown = ("a", "b", "predicted", "answer", "correct", "probability", "loss", "split")
        facts = {
            **words.some(answer, ("run", "step", "operation", "modulus")),
            "correct": sum(bool(p.correct) for p in answer.predictions),
            "predictions": [words.some(p, shown) for p in answer.predictions],
        }
        cite = await self._cite(answer)
        return words.told(facts, words.more(answer), rows=["predictions"], cite=cite)

    async def spectrum(
        self,
        run: given.RunName,
        step: given.Step = "latest",
        of: given.Rows = "embedding",
        null: given.Draws = 0,
    ) -> str:
        """The Fourier spectrum of a checkpoint: the strongest frequencies first.

        `share` is of the power without the constant; `key` marks the network's key frequencies.
        With `null`, how often residues in random order are as concentrated. Of operation s5, which
        has no frequencies, it is by irreducible representation.
        """
        found = await self._run(run)
        checkpoint, is_cyclic = found.at(step), found.about.task.operation != "s5"
        ask: Any = checkpoint.spectrum if is_cyclic else checkpoint.irreps
        answer = await ask(of, null=null or None)
        rows = sorted(answer.spectrum, key=lambda row: row.share or 0, reverse=True)
        fields = ("frequency", "irrep", "dimension", "share", "key")
        told_of = ("run", "step", "of", "provisional", "total_power", "gini_frequencies")
        drawn = ("statistic", "permutations", "observed", "mean", "max", "p_value", "seed")
        facts = {
            **words.some(answer, (*told_of, "key_frequencies")),
            "null": answer.null and words.some(answer.null, drawn),
            "frequencies" if is_cyclic else "irreps": len(rows),
            "spectrum": [words.some(row, fields) for row in rows],
        }
        cut, cite = ["spectrum", "key_frequencies"], await self._cite(answer)
        at = words.page(answer, answer.run, answer.step)
        return words.told(facts, words.more(answer), rows=cut, cite=cite, page=at)

    async def picture(
        self, run: given.RunName, chart: given.Chart, step: given.Step = "latest"
    ) -> list[Any]:
        """A picture of a checkpoint, or of a whole run: trajectory, spectra and pairs."""
        found = await self._run(run)
        of_run = chart in given.OF_A_RUN
        place: Any = found if of_run else found.at(step)
        answer = await getattr(place, given.METHODS.get(chart, chart))()
        try:
            await self._client.read([answer], "png")
        except ClientError as error:
            raise ToolError(no_picture(error, words.more(answer))) from None
        cite = words.of_a_run(await found.card()) if of_run else await self._cite(answer)
        said = words.told(
            {"chart": chart}, words.more(answer), cite=cite, page=words.page(answer, found.name)
        )
        return [Image(data=answer.picture("png"), format="png"), said]

    async def _run(self, name: str) -> AsyncRun:
        try:
            return await self._client.run(name)
        except NotFound:
            known = [row.run for row in (await self._client.runs()).runs]
            raise ToolError(unknown("run", name, known, "`runs` lists them")) from None

    async def _cite(self, answer: Any) -> dict[str, Any]:
        """Of the checkpoint that an answer is of: its label may have moved on since."""
        about = await (await self._checkpoint(answer.run, answer.step)).about()
        return words.of_a_checkpoint(about)

    async def _checkpoint(self, run: str, step: str | int) -> AsyncCheckpoint:
        return (await self._run(run)).at(step)

    async def _at(self, address: str) -> AsyncCheckpoint:
        run, _, step = address.replace("@", "/").partition("/")
        return await self._checkpoint(run, step or "latest")
