"""The pages' routes: one module per resource. They read like the API and act through its functions."""
