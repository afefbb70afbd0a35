"""What every stage runs on: threads, configuration, files, progress."""
