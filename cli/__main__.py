"""The command ``python -m fastmlp_cli``."""

from .main import main

main(prog_name="fastmlp")
