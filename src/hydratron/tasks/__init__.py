"""What is learnt: samples, batches, losses and scores of every task, one row each."""
