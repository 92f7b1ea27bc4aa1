"""Names and numbers of others → text that is safe to show anywhere."""


def printable(text: str) -> str:
    """Return ``text`` without what could move the cursor or reverse the line: names are data."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def percent(share: float) -> str:
    """Return a share with one decimal that rounds nothing to a certainty: "> 99.9%"."""
    shown = f"{share:.1%}"
    match shown:
        case "100.0%" if share < 1:
            return "> 99.9%"
        case "0.0%" if share > 0:
            return "< 0.1%"
    return shown
