"""From measurements to verdicts: what a check is, the checks that come with the library, and how verdicts add up."""
