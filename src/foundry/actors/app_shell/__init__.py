"""AppShell: the root of the tree; app sessions, who is known, which installation is whose, issues of scope `app`."""
