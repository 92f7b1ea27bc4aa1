"""What lies in a bucket or on a server → names, bytes and ranges, as if it lay here."""
