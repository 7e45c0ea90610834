"""Statistics: pure functions of numbers, one family a file."""
