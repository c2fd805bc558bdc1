"""Functions of every shape that a description of the API has to show."""
