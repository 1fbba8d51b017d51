"""The version of nbsync; the build reads it here."""

__version__ = "0.5.0"
