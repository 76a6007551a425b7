"""The words on the wire: what actors, doors, the API and the pages say to each other."""
