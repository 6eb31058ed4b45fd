"""What the edge asks: who is calling, and whether they may.

Called by Envoy alone, for every request (ext_authz); and by anyone, through Envoy, for reflection.
"""
