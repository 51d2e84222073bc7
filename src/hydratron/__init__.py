"""The Megatron-LM paper (arXiv:1909.08053), rerunnable.  Importing this imports nothing."""
