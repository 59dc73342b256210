"""What lstmapps finds when it looks for plugins; imports nothing heavy."""

from lstmapps.plugins import Plugin

plugin = Plugin(
    name="captioning",
    summary="Describes pictures in a sentence.",
    domain="lstmapps_captioning.domain:Captioning",
    core=">=0.1,<0.2",
)
