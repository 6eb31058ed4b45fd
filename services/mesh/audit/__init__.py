"""The audit log: who did what with a user's things, written down in the transaction that did it.

Each service keeps the log of what it does in its own database, for each user as a chain of hashes, and reads
it to the user service, which puts the chains together for the user.
"""
