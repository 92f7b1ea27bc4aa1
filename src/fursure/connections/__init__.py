"""Who may speak to the service, how much and how fast: judged before the application is asked."""
