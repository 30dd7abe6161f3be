"""What may be odd about a call: one file for each side of it."""

from tests.reliability.situations import arguments, caller, inputs, models, outputs, pairs

ALL = {
    s.name: s
    for part in (caller, inputs, models, outputs, arguments, pairs)
    for s in part.SITUATIONS
}  # fmt: skip
