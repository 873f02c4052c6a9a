"""Every figure of docs/figures.md, one command each: medians, and ratios within one run."""

import trainer  # noqa: F401  before torch: it says how torch's threads wait
