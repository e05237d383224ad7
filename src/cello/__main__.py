"""`python -m cello`: the command line."""

from cello.cli import main

main()
