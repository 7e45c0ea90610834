"""Numbers in, numbers out: the statistics, one family a file."""
