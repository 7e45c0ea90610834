"""The pure step engine: `decide` and the rules that it applies. No clock, no chance, no I/O."""
