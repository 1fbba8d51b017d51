"""The disk: LOCAL, and the state directory LOCAL/.nbsync."""
