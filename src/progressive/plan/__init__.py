"""What shall happen, as data: steps, guards, gates and deadlines, and what makes a plan valid."""
