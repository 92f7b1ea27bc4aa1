"""Bundles → an HTTP service and a page: photos in, answers out, and it stays up."""
