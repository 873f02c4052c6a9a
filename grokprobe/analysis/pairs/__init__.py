"""What a run answers to each pair: when it was learnt, sums over pairs, mirrors trained on."""
