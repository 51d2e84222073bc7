"""Tensor parallelism (paper, section 3): groups, f and g, layers, loss, random streams."""
