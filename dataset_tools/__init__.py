"""From raw files to a data set folder: build it, encode its items, tag them."""
