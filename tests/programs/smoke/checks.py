"""What was promised, and the line that says that it holds."""


class Failure(Exception):
    """What was promised does not hold."""


def check(holds: object, what: str) -> None:
    if not holds:
        raise Failure(what)
    print(f"  ok: {what}", flush=True)
