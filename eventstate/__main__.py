"""`python -m eventstate` is the command line."""

from eventstate.cli import main

main(prog_name="eventstate")
