"""A Jupyter Server in the test's own process and loop, with nbsync in it."""

from pytest_jupyter.jupyter_server import *  # noqa: F403
