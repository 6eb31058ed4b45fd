"""How fast the engine is, against the unmodified int8 model, and what limits it. `make bench`."""
