"""The GitHub client. Only `actors/github_state` uses it (R10), and the edge its webhook signature."""
