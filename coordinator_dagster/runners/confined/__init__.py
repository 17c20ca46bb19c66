"""The models' side of the local runner. Standalone: it runs inside the sandbox, where nothing else of ours is.

Modules import each other relatively: here the package is `coordinator_dagster.runners.confined`, there `confined`.
"""
