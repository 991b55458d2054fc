"""Bytes to rows, images and texts: what is read is what was verified."""
