"""One bucket: account, listing, versions, multipart uploads, what the server can do."""
