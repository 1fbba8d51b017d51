"""One bucket: who asks, listing, versions, multipart uploads, what the server can do."""
