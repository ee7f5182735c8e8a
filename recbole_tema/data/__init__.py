"""The way from atomic files to batches: histories, rows, item features and tags in memory."""
