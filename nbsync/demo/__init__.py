"""The embedded S3 server, and the main job on it."""

from nbsync.demo.show import edit_remote, use_demo_server

__all__ = ["edit_remote", "use_demo_server"]
