"""What is: the state of one release under one plan, its events, commands and notes."""
