"""What one training sample reads: GPT's token windows, BERT's sentence pairs, blends of sets."""
