"""The networks, written directly with the tensor-parallel layers; at one rank these are plain."""
