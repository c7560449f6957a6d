"""One-to-one matching of maximal total weight, for very many small matching problems at once.

The optimum is that of the Hungarian method (Kuhn, Naval Research Logistics Quarterly 2:83-97, 1955). Most edges are
settled in bulk by conditions that prove them optimal; what is left goes to `scipy.optimize.linear_sum_assignment`, one
connected component at a time.
"""

from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray

MORE_MATCHES = 1e-11
"""Added to each weight: of matchings with equal totals, the one with more matches is chosen."""
PREFERRED = 1e-13
"""Added to preferred edges: of those still equal, the one with more preferred edges."""


def best_matching(
    left: IntArray, right: IntArray, weight: FloatArray, *, preferred: BoolArray | None = None
) -> BoolArray:
    """Which edges (n_edges,) are in a matching of maximal total weight that uses no left and no right node twice.

    Nodes are numbered from 0, left and right ones apart; an edge occurs once; weights lie within (0, 1]. Equal totals
    are decided for more matches, then for more `preferred` edges, so these counts do not depend on the order of edges.
    """
    chosen = np.zeros(len(weight), dtype=np.bool_)
    if not len(weight):
        return chosen
    raised = weight + MORE_MATCHES
    if preferred is not None:
        raised = raised + PREFERRED * preferred
    open_edges = np.arange(len(weight))
    while len(open_edges):
        safe = _safe(left[open_edges], right[open_edges], raised[open_edges])
        if not safe.any():
            break
        chosen[open_edges[safe]] = True
        open_edges = _without_touching(open_edges, left, right, taken=open_edges[safe])
    if len(open_edges):
        found = _by_component(left[open_edges], right[open_edges], raised[open_edges])
        chosen[open_edges[found]] = True
    return chosen


def _safe(left: IntArray, right: IntArray, weight: FloatArray) -> BoolArray:
    """Edges in some optimal matching: as heavy as the next best edges of both their nodes together.

    Putting such an edge into a matching drives out at most those two, so the total does not fall.
    """
    best_left, next_left = _best_two(left, weight)
    best_right, next_right = _best_two(right, weight)
    number = np.arange(len(weight))
    mutual = (best_left[left] == number) & (best_right[right] == number)
    return np.asarray(mutual & (weight >= next_left[left] + next_right[right]), dtype=np.bool_)


def _best_two(node: IntArray, weight: FloatArray) -> tuple[IntArray, FloatArray]:
    """The heaviest edge of each node (the first of equals), and the weight of the next one, 0 where there is none."""
    n = int(node.max()) + 1
    heaviest = np.zeros(n)
    np.maximum.at(heaviest, node, weight)
    tops = np.flatnonzero(weight == heaviest[node])[::-1]
    best = np.full(n, -1)
    best[node[tops]] = tops
    others = np.flatnonzero(best[node] != np.arange(len(node)))
    following = np.zeros(n)
    np.maximum.at(following, node[others], weight[others])
    return best, following


def _without_touching(open_edges: IntArray, left: IntArray, right: IntArray, *, taken: IntArray) -> IntArray:
    used_left = np.zeros(int(left[open_edges].max()) + 1, dtype=np.bool_)
    used_right = np.zeros(int(right[open_edges].max()) + 1, dtype=np.bool_)
    used_left[left[taken]] = True
    used_right[right[taken]] = True
    return open_edges[~(used_left[left[open_edges]] | used_right[right[open_edges]])]


def _by_component(left: IntArray, right: IntArray, weight: FloatArray) -> BoolArray:
    """The same for edges that are not settled one by one."""
    chosen = np.zeros(len(weight), dtype=np.bool_)
    left, right = _compact(left), _compact(right)
    component = _components(left, right)
    settled = np.zeros(int(component.max()) + 1, dtype=np.bool_)
    for near, far in ((left, right), (right, left)):
        best, _ = _best_two(near, weight)
        # Where each node's heaviest edge leads to a node of its own, no matching can weigh more.
        clash = np.bincount(far[best], minlength=int(far.max()) + 1)[far[best]] > 1
        proven = np.ones(len(settled), dtype=np.bool_)
        proven[component[best[clash]]] = False
        proven &= ~settled
        chosen[best[proven[component[best]]]] = True
        settled |= proven
    rest = np.flatnonzero(~settled[component])
    chosen[rest[_assigned(left[rest], right[rest], weight[rest], component[rest])]] = True
    return chosen


def _compact(node: IntArray) -> IntArray:
    used = np.zeros(int(node.max()) + 1, dtype=np.int64)
    used[node] = 1
    numbers: IntArray = (np.cumsum(used) - 1)[node]
    return numbers


def _components(left: IntArray, right: IntArray) -> IntArray:
    """The connected component of each edge."""
    n_left, n = int(left.max()) + 1, int(left.max()) + int(right.max()) + 2
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right + n_left)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    return np.asarray(component[left], dtype=np.int64)


def _assigned(left: IntArray, right: IntArray, weight: FloatArray, component: IntArray) -> IntArray:
    """Positions of the chosen edges, one assignment problem a component."""
    order = np.argsort(component, kind="stable")
    bounds = np.append(np.flatnonzero(np.diff(component[order], prepend=-1)), len(order)).tolist()
    chosen = [np.empty(0, dtype=np.int64)]
    for begin, end in pairwise(bounds):
        edges = order[begin:end]
        row_of, col_of = _compact(left[edges]), _compact(right[edges])
        table = np.zeros((int(row_of.max()) + 1, int(col_of.max()) + 1))
        edge_at = np.full(table.shape, -1)
        table[row_of, col_of] = weight[edges]
        edge_at[row_of, col_of] = edges
        found = edge_at[linear_sum_assignment(table, maximize=True)]
        chosen.append(found[found >= 0])
    return np.concatenate(chosen)
