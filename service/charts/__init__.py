"""Pictures of answers: one chart a file, each a function of what the API answers.

A chart takes an answer as its JSON has it and a theme, and gives a Vega-Lite specification that
carries its data; `frame` adds what all pictures share.
"""
