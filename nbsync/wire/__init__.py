"""HTTP/1.1 and signature version 4: how one S3 request reaches the wire and comes back."""
