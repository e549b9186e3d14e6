"""What several tests share: builders, generated files, real servers."""
