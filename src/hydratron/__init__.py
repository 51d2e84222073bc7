"""hydratron: the Megatron-LM paper (arXiv:1909.08053), rerunnable.  Importing it imports nothing."""
