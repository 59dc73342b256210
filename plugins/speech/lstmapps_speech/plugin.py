"""What lstmapps finds when it looks for plugins; imports nothing heavy."""

from lstmapps.plugins import Plugin

plugin = Plugin(
    name="speech",
    summary="Recognises speech, offline and streaming.",
    domain="lstmapps_speech.domain:Speech",
    core=">=0.1,<0.2",
    settings={"channel": "which channel of a recording is heard, from 0, or mix"},
)
