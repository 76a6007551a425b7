"""GitHubState: the only door to GitHub (R10); app-wide under the key `app`, else one organization's."""
