"""Artifacts of the paper: their profiles, runs, curves, verdicts and the page of claims."""
