"""Models that come and go: Hugging Face's folders, Megatron-LM's checkpoints, and ours."""
