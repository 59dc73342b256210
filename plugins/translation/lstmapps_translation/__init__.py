"""Translation for lstmapps."""
