from lstmapps.plugins import Plugin

plugin = Plugin("shapes", "Reads strokes.", "shapes.domain:Shapes", ">=0.1,<0.2")
