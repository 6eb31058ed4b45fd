"""Owns accounts, sessions and the keys that sign access tokens.

Called by people (through Envoy) to register, sign in, refresh and sign out; by the gateway for the
public keys; by user for an account's address.
"""
