"""One paper's claim, side by side: our model, its ablations and other people's systems on the same rows, in one run.

Start with `claim.py` (what a claim declares) and `claims/plant.py` (one); `runs.py` does the runs, `one_run.py` is what each
of their processes does, `report.py` prints what came of them. What is said of several data sets at once: `set_statements.py` and
`ranks.py`, printed by `sets_report.py`. Needs the extra `compare`: `pip install hf_mlc[compare]`.
"""
