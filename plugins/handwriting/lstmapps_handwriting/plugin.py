"""What lstmapps finds when it looks for plugins; imports nothing heavy."""

from lstmapps.plugins import Plugin

plugin = Plugin(
    name="handwriting",
    summary="Reads lines of handwriting.",
    domain="lstmapps_handwriting.domain:Handwriting",
    core=">=0.1,<0.2",
)
