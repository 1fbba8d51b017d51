"""Tests on file systems and servers with quirks: `mounts` makes the first, `store` the second, `world` both."""
