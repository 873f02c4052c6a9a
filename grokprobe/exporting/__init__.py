"""Whole runs, with weights and every series, in the formats of other tools."""
