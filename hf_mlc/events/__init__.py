"""Event sequences: histories of label sets, and the next set."""
