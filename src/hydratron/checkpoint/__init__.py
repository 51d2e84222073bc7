"""Checkpoint folders: who takes part, how they are written and read, and what is trusted."""
