"""Tables of ours, the plain way and the limit, from one run on the same work."""
