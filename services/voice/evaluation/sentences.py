"""What the evaluation has said: everyday sentences of ours, all sounds of English in them, none used in fitting."""

from typing import Final

SENTENCES: Final = (
    "The kettle on the stove began to whistle just as the doorbell rang.",
    "She folded the old map twice and put it back into her coat pocket.",
    "Most of the children had never seen snow falling on the beach before.",
    "If the bridge is closed again tomorrow, we shall have to drive around the lake.",
    "His younger cousin painted the garden fence a very bright shade of yellow.",
    "They argued about the price for an hour, and then they shook hands.",
    "The museum keeps a small collection of clocks that nobody knows how to repair.",
    "Could you explain once more why the measure was rejected by the council?",
)

TWO_CLAUSES: Final = (
    "When the last train had left the station, the guard locked every door and walked slowly home along the river."
)
"""About twenty words: the sentence by which speed is measured."""

PAUSED: Final = (
    "Listen now. On Monday, after the rain had stopped, we walked along the shore; the wind, cold and steady, came "
    "from the north, and, as always, nobody spoke."
)
"""Full of pauses within a sentence: the text by which their level is measured. The first sentence is there because an
engine may cut what it says first into pieces."""
