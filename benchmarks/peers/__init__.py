"""The peers: other stores, each driven through its own public API, in an environment of its own.

`NAME.py` is the contestant, run as `python -m benchmarks.peers.NAME`. Its environment is made from
`requirements/NAME.txt`; variants of a peer, such as `langgraph_delta`, share the file of the plain name.
Top-level packages are pinned, and others only where the resolver would pick one that does not fit.
"""
