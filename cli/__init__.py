"""The command line: ``fastmlp``."""
