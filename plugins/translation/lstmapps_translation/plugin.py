"""What lstmapps finds when it looks for plugins; imports nothing heavy."""

from lstmapps.plugins import Plugin

plugin = Plugin(
    name="translation",
    summary="Translates texts, sentence by sentence.",
    domain="lstmapps_translation.domain:Translation",
    core=">=0.1,<0.2",
)
