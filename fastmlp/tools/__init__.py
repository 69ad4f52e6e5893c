"""What looks at the installation instead of data: ``fastmlp doctor`` and ``fastmlp bench``."""
