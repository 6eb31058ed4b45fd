"""Owns files: what they are called, what they are, whose they are, and their bytes.

Called by people (through Envoy) to upload, list, download and delete; by voice and worker for the
recordings of a voice and for finished speech; by user for what somebody has stored.
"""
