"""The study behind docs/quantization.md: `python3 build.py study -- DIR`.

measure.py      quantize the float32 network in many ways, and measure each on held-out photos
plots.py        the plots, from those figures and the network itself
page.py         docs/quantization.md, from the words in words.md and the figures

DIR holds photos; the first 24, in the order of their names, of those that the statistics were not
made of are used. The figures are kept in docs/quantization/figures.json; without DIR plots and page
are made again from them.
"""
