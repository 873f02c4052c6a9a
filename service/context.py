"""What every route works with, assembled once by `create_context`."""

import asyncio
from dataclasses import dataclass, field

from litestar.di import NamedDependency

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue.reconciling.reconciler import Reconciler
from service.events.feed import Feed
from service.formats.answers import KeptAnswers
from service.inference.checkpoints import Checkpoints
from service.inference.engine import Inference
from service.inference.results import Results
from service.inference.runtime import Runtime
from service.rendering.renderer import Renderer
from service.runs.groups import GroupMembers
from service.runs.source import Source
from service.runs.views import RunViews
from service.telemetry.metrics import Metrics
from service.telemetry.statistics import Statistics


@dataclass(frozen=True)
class Context:
    """The settings, the stores and what stands between them and the routes."""

    settings: Settings
    backends: Backends
    metrics: Metrics
    source: Source
    views: RunViews
    members: GroupMembers
    checkpoints: Checkpoints
    inference: Inference
    derived: Results
    answers: KeptAnswers
    renderer: Renderer
    feed: Feed
    reconciler: Reconciler
    runtime: Runtime
    statistics: Statistics
    dependencies: dict[str, str] = field(default_factory=dict)  # at the last look: up or down
    draining: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Ask for no more traffic: readiness turns off, streams of events end."""
        self.draining.set()
        self.feed.close()


FromContext = NamedDependency[Context]
