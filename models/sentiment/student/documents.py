"""One string a piece of news, as students read it: the company's own name as a marker, title before body."""

COMPANY = "\ue000"  # private use: no text has it, and it says where the company stands whatever it is called
FIELD = "\n"


def document(title: str, body: str = "", name: str = "") -> str:
    """Title and body with every mention of the name as COMPANY; a name of one character is left alone, since it stands in other words."""
    text = f"{title}{FIELD}{body}" if body else title
    text = text.replace(COMPANY, "")
    return text.replace(name, COMPANY) if len(name) > 1 else text
