"""Labelled examples in the files of GLUE, RACE and SQuAD: read, tokenised once, and kept."""
