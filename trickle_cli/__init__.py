"""Trickle: segmented publish and subscribe over HTTP, live to the byte.

`trickle_cli.server` serves channels, `trickle_cli.client` publishes to them and
subscribes to them, `trickle_cli.relay` holds them in memory without any HTTP.
"""

__version__ = "0.1.0"
