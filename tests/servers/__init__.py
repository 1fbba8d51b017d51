"""The S3 servers that tests run against: moto, rclone and Ceph RGW, each behind the same `Server`."""

from tests.servers.base import CAPABILITIES, Server

__all__ = ["CAPABILITIES", "Server"]
