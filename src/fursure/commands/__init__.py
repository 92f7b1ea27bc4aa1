"""What else the command line does, each story on one screen."""
