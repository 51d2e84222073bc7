"""Trained models scored: the paper's zero-shot tasks (section 5.2, appendix E), and any text."""
