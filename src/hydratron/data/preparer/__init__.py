"""Text to token files on all cores, in constant memory and in the order of the text."""
