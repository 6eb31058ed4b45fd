"""What the edge asks: who is calling, whether they may, and whether it is one call too many.

Called by Envoy alone, for every request (ext_authz) and every request whose caller is known (rate limits); and by
anyone, through Envoy, for reflection.
"""
