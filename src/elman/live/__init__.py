"""Models at work: sequences that are still coming, one or many, in a pipe or behind a server."""
