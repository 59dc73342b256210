"""A process that speaks: eSpeak NG, which the package espeakng-loader carries, through its C interface.

What the library says depends on all that it has said before, in ways that no call of it resets; so each list of
utterances has a process of its own, which gives the same sounds every time. It reads the list as JSON from
standard input and writes raw sound; `synthesis.py` is the other end.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from typing import Any

import espeakng_loader

_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: call back with the sound, and return when all is said
_PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}  # espeak_PARAMETER
_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main() -> int:
    """Write the sample rate, then for each utterance its length and its samples, 16-bit."""
    utterances: list[dict[str, Any]] = json.load(sys.stdin)
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    if rate < 0:
        print("eSpeak NG finds none of its voices", file=sys.stderr)
        return 1
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else its breath follows the clock
    heard = bytearray()

    def keep(sound: Any, count: int, _: int | None) -> int:
        if sound and count:
            heard.extend(ctypes.string_at(sound, 2 * count))
        return 0

    callback = _CALLBACK(keep)
    library.espeak_SetSynthCallback(callback)
    sys.stdout.buffer.write(struct.pack("<i", rate))
    for utterance in utterances:
        if library.espeak_SetVoiceByName(utterance["name"].encode()) != 0:
            print(f"eSpeak NG has no voice {utterance['name']!r}", file=sys.stderr)
            return 1
        for name, number in _PARAMETERS.items():
            library.espeak_SetParameter(number, utterance[name], 0)
        text = utterance["text"].encode()
        library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        sys.stdout.buffer.write(struct.pack("<i", len(heard)) + heard)
        heard.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
