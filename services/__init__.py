"""The programs of VoiceMesh: five services of one shape, what they share, and the command line."""
