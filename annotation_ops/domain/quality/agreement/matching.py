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
    edges = np.arange(len(weight))
    while len(edges):
        safe, rest = _safe(left, right, raised)
        if not len(safe):
            chosen[edges[_by_component(left, right, raised)]] = True
            break
        chosen[edges[safe]] = True
        edges, left, right, raised = edges[rest], left[rest], right[rest], raised[rest]
    return chosen


def _safe(left: IntArray, right: IntArray, weight: FloatArray) -> tuple[IntArray, IntArray]:
    """Edges of some optimal matching, each as heavy as the next best edges of both its nodes together; and the edges
    that touch none of them.

    Putting such an edge into a matching drives out at most those two next best, so the total does not fall.
    """
    best_left, best_right = _heaviest(left, weight), _heaviest(right, weight)
    is_best = (weight == best_left[left]) & (weight == best_right[right])
    best, others = np.flatnonzero(is_best), np.flatnonzero(~is_best)
    bound = np.zeros(len(best))
    for node, n in ((left, len(best_left)), (right, len(best_right))):
        following = np.zeros(n)
        np.maximum.at(following, node[others], weight[others])
        # Two equally heavy edges at one node: neither is safe.
        following[np.bincount(node[best], minlength=n) > 1] = np.inf
        bound += following[node[best]]
    safe = best[weight[best] >= bound]
    free_left, free_right = (np.ones(len(one), dtype=np.bool_) for one in (best_left, best_right))
    free_left[left[safe]] = False
    free_right[right[safe]] = False
    rest = np.flatnonzero(free_left[left] & free_right[right])
    return safe, rest


def _heaviest(node: IntArray, weight: FloatArray) -> FloatArray:
    heaviest = np.zeros(int(node.max()) + 1)
    np.maximum.at(heaviest, node, weight)
    return heaviest


def _heaviest_edges(node: IntArray, weight: FloatArray) -> IntArray:
    """The heaviest edge of each node, the first of equals, (n_nodes,); every node has one."""
    tops = np.flatnonzero(weight == _heaviest(node, weight)[node])[::-1]
    best = np.empty(int(node.max()) + 1, dtype=np.int64)
    best[node[tops]] = tops
    return best


def _by_component(left: IntArray, right: IntArray, weight: FloatArray) -> BoolArray:
    """The same for edges that are not settled one by one."""
    chosen = np.zeros(len(weight), dtype=np.bool_)
    left, right = _compact(left), _compact(right)
    component = _components(left, right)
    settled = np.zeros(int(component.max()) + 1, dtype=np.bool_)
    for near, far in ((left, right), (right, left)):
        best = _heaviest_edges(near, weight)
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
    row, col = (_numbered_within(node, component)[order] for node in (left, right))
    values = weight[order]
    chosen = [np.empty(0, dtype=np.int64)]
    for begin, end in pairwise(bounds):
        here = slice(begin, end)
        table = np.zeros((int(row[here].max()) + 1, int(col[here].max()) + 1))
        edge_at = np.full(table.shape, -1)
        table[row[here], col[here]] = values[here]
        edge_at[row[here], col[here]] = order[here]
        chosen.append(edge_at[linear_sum_assignment(table, maximize=True)])
    found = np.concatenate(chosen)
    return found[found >= 0]


def _numbered_within(node: IntArray, component: IntArray) -> IntArray:
    """Of each edge, the number of its node among the nodes of its component, from 0."""
    if not len(node):
        return node
    owner = np.full(int(node.max()) + 1, int(component.max()) + 1)
    owner[node] = component
    order = np.argsort(owner, kind="stable")
    number = np.empty(len(owner), dtype=np.int64)
    number[order] = np.arange(len(owner)) - np.searchsorted(owner[order], owner[order])
    return number[node]
