"""`flagpost demo`: a placeholder"""


def demo() -> None: ...
