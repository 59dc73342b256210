"""What lstmapps finds when it looks for plugins; imports nothing heavy."""

from lstmapps.plugins import Plugin

plugin = Plugin(
    name="foundations",
    summary="Learns the early tasks of recurrent networks.",
    domain="lstmapps_foundations",
    core=">=0.1,<0.2",
)
