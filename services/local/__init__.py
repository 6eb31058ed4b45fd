"""The whole mesh on one machine: PostgreSQL, five services, the worker and Envoy under one supervisor.

Nothing here is needed where something else runs the processes (compose, Kubernetes); the command
line (`services.cli`) and the tests are the callers.
"""
