"""Collateral from the network, on request: the only package that opens a connection.

Verifying and attesting never do; what is fetched here is a file that they are given. Nothing that comes from a server
is believed: a verifier authenticates it later, and an answer that does not verify the quote that it was fetched for is
written with a remark.
"""
