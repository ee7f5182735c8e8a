"""The way from atomic files to batches: histories, rows, views, item features and tags in memory."""
