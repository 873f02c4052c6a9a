"""Every figure that the README claims, one command each: medians, and ratios within one run."""
