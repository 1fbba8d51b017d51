"""Deciding, as values: no disk, no socket, no clock. Imports only the standard library and nbsync.errors."""
