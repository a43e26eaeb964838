"""The benchmark: Offcut beside its peers in one browser, interleaved, as ratios."""
