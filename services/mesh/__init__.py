"""What every service does the same way, so that whoever knows one service knows all."""
