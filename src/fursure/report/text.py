"""Names and numbers of others → text that is safe to show anywhere."""


def printable(text: str) -> str:
    """Return ``text`` without what could move the cursor or reverse the line: names are data."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
