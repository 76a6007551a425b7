"""The GitHub client. Only `actors/github_state` uses it (R10); the edge uses only its webhook signature check."""
