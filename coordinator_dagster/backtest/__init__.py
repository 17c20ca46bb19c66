"""A participant's backtest: the engine's own stages over a recorded tape, with a store in memory.

Vendored in the participants' repo with all that it imports: copier_template/public holds a link to each file.
"""
