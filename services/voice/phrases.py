"""Phrases of random words that somebody is asked to speak, and whether what was heard is one.

The words are common, of two syllables or more and unlike each other, so that people read them without a stumble and a
recogniser writes them down as they are.
"""

from __future__ import annotations

import difflib
import re
import secrets

_COMMON = """
acrobat airport album almond animal apple april arrow autumn balcony ballet banana basket battery blanket bottle
bracelet bridge broccoli bucket butter button cactus camera candle canyon carpet castle ceiling cherry chicken
chimney chocolate cinnamon circus coffee copper cotton cousin cricket crystal curtain dancer december desert diamond
dinner doctor dolphin dragon eagle elephant engine evening falcon family farmer feather fiddle forest fountain
friday galaxy garden garlic giraffe guitar hammer helmet hospital hotel hunter island jacket january jungle kettle
kingdom kitchen ladder lantern lemon leopard letter library lizard lobster machine magnet mango marble market meadow
medicine melon mirror monday monkey mountain museum mustard napkin november october olive onion orange orchard
oxygen palace pancake paper parrot pasture peanut pencil pepper piano picture pillow pilot planet pocket potato
pumpkin pyramid rabbit radio railway rainbow ribbon river robot rocket saddle salad sandwich saturday scissors
shadow shoulder silver spider spinach statue sugar summer sunday sunflower tailor teacher telephone theater thunder
tiger timber tomato tornado trumpet tunnel turtle umbrella uncle valley vanilla velvet village violin volcano waiter
walnut water wedding whisper window winter wizard yellow zebra
"""
WORDS = tuple(_COMMON.split())
COUNT = 6
"""Words of a phrase: one in some 10^13 of all."""
_MISHEARD = 1
"""How many words of a phrase the recogniser may get wrong: what is left is far from a guess."""


def make() -> str:
    """A phrase of COUNT words, none twice, drawn by the system's source of randomness."""
    return " ".join(secrets.SystemRandom().sample(WORDS, COUNT))


def spoken(phrase: str, text: str) -> bool:
    """Whether a text has the words of the phrase in their order, all but one perhaps, close to each other."""
    wanted, heard = _words(phrase), _words(text)
    widest = 2 * len(wanted)
    for start in range(max(1, len(heard) - len(wanted) + 1 + _MISHEARD)):
        matcher = difflib.SequenceMatcher(None, wanted, heard[start : start + widest], autojunk=False)
        if sum(block.size for block in matcher.get_matching_blocks()) >= len(wanted) - _MISHEARD:
            return True
    return False


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
