"""The command ``python -m fastmlp_cli``."""

import sys

try:
    from fastmlp import exceptions as exceptions

    from .main import main
except (ImportError, AttributeError) as error:
    # Python looks for modules in the current folder first.
    sys.exit(
        f"fastmlp: cannot start ({type(error).__name__}: {error}); is a file in this folder named "
        "like a module that fastmlp needs? python -P -m fastmlp_cli looks elsewhere"
    )

main(prog_name="fastmlp")
