"""`python -m elman`: the command."""

from elman.cli.app import main

main()
