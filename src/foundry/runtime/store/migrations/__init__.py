"""The history of the database's shape. Revisions stand alone: they import nothing of ours."""
