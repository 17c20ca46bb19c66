"""A participant's backtest: the engine's own stages over a recorded tape, with a store in memory.

Vendored in the participants' repository with what it needs: the files that VENDORED.txt lists.
"""
