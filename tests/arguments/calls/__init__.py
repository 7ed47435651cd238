"""Valid calls of the public callables, a table for each room or few."""
