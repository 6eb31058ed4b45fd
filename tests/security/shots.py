"""How much is fired at the mesh."""

import os

WHOLE = os.environ.get("SECURITY_TESTS") == "whole"
"""Whether to fire all that `make security` does, or the little that is in every run of the tests."""

fired = 0
"""How many made-up requests have been sent in this run."""
