"""Special functions with `math` alone, accurate in both tails: gamma, beta, normal, counts."""
