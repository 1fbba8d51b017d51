"""The embedded S3 server, and the main job on it."""
