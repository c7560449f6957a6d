"""Equal shares of a budget for the values of a slice (or for predicted classes)."""

from collections.abc import Mapping


def equal_shares(available: Mapping[str, int], *, total: int) -> dict[str, int]:
    """How many of `total` each value gets: equal shares, never more than it has, what it lacks given to the others.

    One unit that cannot be split goes to the value that comes first bytewise (UTF-8). The shares add up to
    min(total, sum of available), and two values that were both cut short of their supply differ by one at most.
    """
    values = sorted(available, key=str.encode)
    shares = dict.fromkeys(values, 0)
    left = total
    open_values = [value for value in values if available[value] > 0]
    while left > 0 and open_values:
        share, extra = divmod(left, len(open_values))
        for index, value in enumerate(open_values):
            take = min(share + (index < extra), available[value] - shares[value])
            shares[value] += take
            left -= take
        open_values = [value for value in open_values if shares[value] < available[value]]
    return shares
