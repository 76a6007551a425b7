"""UserGitHubData: one person's GitHub identity and tokens (R11). It stores and never calls."""
