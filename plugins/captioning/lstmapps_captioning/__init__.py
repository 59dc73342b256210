"""Describes pictures in a sentence: a plugin of lstmapps."""
