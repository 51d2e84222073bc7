"""What a job would send, compute and hold: its own code, on tensors without data."""
