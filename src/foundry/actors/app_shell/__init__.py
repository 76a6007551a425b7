"""AppShell: the root of the tree; app sessions and the issues of scope `app`."""
