"""Maps of files that do not fit in memory: read, placed and written block by block."""
