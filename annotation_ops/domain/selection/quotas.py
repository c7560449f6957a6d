"""Equal shares of a budget for the values of a slice (or for predicted classes)."""

from collections.abc import Mapping


def equal_shares(available: Mapping[str, int], *, total: int) -> dict[str, int]:
    """How many of `total` each value gets: equal shares, never more than it has, what it lacks given to the others.

    One unit that cannot be split goes to the value that comes first bytewise (UTF-8). The shares add up to
    min(total, sum of available), and two values that were both cut short of their supply differ by one at most.
    """
    shares = dict.fromkeys(sorted(available, key=str.encode), 0)
    hungry, left = list(shares), total
    while hungry:
        share, extra = divmod(left, len(hungry))
        short = [value for value in hungry if available[value] <= share]
        if not short:
            shares.update({value: share + (index < extra) for index, value in enumerate(hungry)})
            break
        for value in short:
            shares[value] = available[value]
            left -= available[value]
        hungry = [value for value in hungry if value not in short]
    return shares
