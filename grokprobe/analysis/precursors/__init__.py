"""Which series move before a run generalises, judged over the members of a group."""
