"""Reads lines of handwriting: a plugin of lstmapps."""
