"""The pages' routes: one module a thing. They read as the API does and act through its functions."""
