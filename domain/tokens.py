"""How many tokens a text will cost, before anybody has counted them.

One rule for all engines: four bytes of UTF-8 a token. English comes out about right, scripts beyond Latin are
overestimated rather than under. It decides what fits and what is worth sharing; bills are the provider's counts.
"""

BYTES_PER_TOKEN = 4


def estimate(text: str) -> int:
    """Tokens of the text, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
