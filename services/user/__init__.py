"""Owns profiles and preferences, and adds up usage from the services that did the work.

Called by people, through Envoy. Calls auth for the address of an account, and voice and storage for usage.
"""
