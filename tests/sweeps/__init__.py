"""Power cuts and failing disks at every operation of every kind of work; `python -m tests.sweeps --help`."""
