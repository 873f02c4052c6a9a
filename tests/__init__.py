"""Tests mirror the source; what several files use is in conftest, stores, served and trained."""

import trainer  # noqa: F401  before torch: it says how torch's threads wait
