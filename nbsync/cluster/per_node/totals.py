"""The sum of all nodes: one status board, one result. For the run's thread, but where other threads are named."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from nbsync.cluster.per_node.node import Node, add, moved
from nbsync.core.model import Active, NodeResult, Problem, Row, Status
from nbsync.engine.status_board import StatusBoard
from nbsync.errors import NbsyncError
from nbsync.results.sync_result import MAX_HIT_ROWS, SyncResult

_UNDONE = (Status.FAILED, Status.CONFLICT, Status.CANCELLED, Status.PLANNED)
_NAMED = 3  # nodes that a note names
_PROBLEMS_SHOWN = 5


class Moving:
    """The bytes and files under way on all nodes. Written by the run's thread, read by any."""

    def __init__(self) -> None:
        self._moved = 0
        self._active: tuple[Active, ...] = ()
        self.requests: dict[str, int] = {}

    def take(self, nodes: Sequence[Node]) -> None:
        """Look at all of them."""
        self._moved = sum(_moved_earlier(node) + (node.report.bytes_done if node.report else 0) for node in nodes)
        self._active = tuple(one for node in nodes for one in node.active)
        self.requests = add(*(node.requests for node in nodes))

    def bytes_moved(self) -> int:
        """By all nodes, so far."""
        return self._moved

    def active(self) -> tuple[Active, ...]:
        """On their way now, on any node."""
        return self._active


def show(board: StatusBoard, nodes: Sequence[Node]) -> None:
    """Sum the nodes' boards up."""
    reports = [node.report for node in nodes if node.report is not None]
    board.counts = add(_nothing(), *(report.counts for report in reports))
    board.listing_done = len(reports) == len(nodes) and all(report.listing_done for report in reports)
    board.files_done = sum(report.files_done for report in reports)
    board.files_total = sum(report.files_total for report in reports)
    board.bytes_total = sum(report.bytes_total for report in reports) + sum(map(_moved_earlier, nodes))
    problems = [_named(problem, node) for node in nodes if node.report for problem in node.report.problems]
    board.problems = tuple(problems[-_PROBLEMS_SHOWN:])
    states = {node.report.state for node in nodes if node.report is not None and not node.ended}
    if states:
        board.state = states.pop() if len(states) == 1 and states <= {"waiting", "deleting"} else "syncing"


def conclude(result: SyncResult, nodes: Sequence[Node]) -> None:
    """Make the result of all: rows, sums, problems and notes; a node that failed is a problem, if others did not."""
    rows: list[Row] = []
    state_dir = MAX_HIT_ROWS  # for those of all nodes
    result.counts = _nothing()
    for node in nodes:
        kept = _kept(node.rows, state_dir)
        state_dir -= sum(row.status == Status.HIT.value for row in kept)
        rows += node.earlier_rows + kept
        result.hits_omitted += len(node.rows) - len(kept)
        one = _node_result(node)
        result.counts, result.bytes = add(result.counts, one.counts), add(result.bytes, one.bytes)
        result.requests = add(result.requests, node.requests)
        if node.end is not None:
            result.hits_omitted += node.end.hits_omitted
            result.problems += [_named(problem, node) for problem in node.end.problems]
        result.nodes.append(one)
    result.files = sorted(rows, key=lambda row: (row.path, row.worker))  # a new list: the old one may be being read
    if not nodes:
        return
    ends = [node.end for node in nodes if node.end is not None]
    remotes = {end.remote for end in ends}
    result.remote = remotes.pop() if len(remotes) == 1 else result.remote
    _errors(result, nodes)
    result.notes += [_said(result, nodes), *_notes(nodes)]


def _kept(rows: Sequence[Row], state_dir: int) -> list[Row]:
    """The rows, but of hits no more than there is room for."""
    hits = itertools.count(1)
    return [row for row in rows if row.status != Status.HIT.value or next(hits) <= state_dir]


def _node_result(node: Node) -> NodeResult:
    """What all attempts of a node come to: the last one's counts, and what those that were lost had moved or deleted.

    A file that a lost one had moved, and the last one found, counts as both.
    """
    error, counts = _error_of(node), dict(node.report.counts) if node.report is not None else {}
    for row in node.earlier_rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    bytes_of = node.end.bytes if node.end is not None else {"moved": moved(node.rows), "saved": 0}
    bytes_of = add(bytes_of, {"moved": _moved_earlier(node)})
    return NodeResult(node.identity.host, node.identity.local, node.worker, _is_complete(node), counts, bytes_of,
                      str(error) if error is not None else None)  # fmt: skip


def _moved_earlier(node: Node) -> int:
    """Bytes that workers had moved that were lost."""
    return sum(one.bytes for one in node.lost)


def _nothing() -> dict[str, int]:
    return {status.value: 0 for status in Status}


def _is_complete(node: Node) -> bool:
    if node.end is None or node.report is None or _error_of(node) is not None:
        return False
    return not node.end.problems and not any(node.report.counts[status.value] for status in _UNDONE)


def _error_of(node: Node) -> NbsyncError | None:
    return node.error or (node.end.error if node.end is not None else None)


def _errors(result: SyncResult, nodes: Sequence[Node]) -> None:
    errors = [(node, error) for node in nodes if (error := _error_of(node)) is not None]
    if result.error is None and len(errors) == len(nodes):  # there is no run that went on
        one, first = errors[0]
        same = [node for node, error in errors if str(error) == str(first)]
        where = "on every node" if len(same) == len(nodes) > 1 else f"on {one.identity.name}"
        result.error = type(first)(f"{first.message.rstrip('.')} ({where})", first.hint)
        errors = [(node, error) for node, error in errors if node not in same]
    result.problems += [
        Problem(node.identity.name, "node", f"this node is not complete: {error}") for node, error in errors
    ]


def _said(result: SyncResult, nodes: Sequence[Node]) -> str:
    """Which nodes there are, and which of them are complete."""
    if result.dry_run:
        names = [node.identity.name for node in nodes]
        return f"{len(nodes):,} node{'s' * (len(nodes) != 1)} would have a copy each: {_some(names)}"
    names = [node.identity.name for node in nodes if _is_complete(node)]
    return f"{len(names):,} of {len(nodes):,} nodes complete" + (f": {_some(names)}" if names else "")


def _notes(nodes: Sequence[Node]) -> list[str]:
    """What was noted, each thing once, with the nodes that it is about."""
    noted: dict[str, list[str]] = {}
    for node in nodes:
        for note in node.end.notes if node.end is not None else ():
            noted.setdefault(note, []).append(node.identity.name)
    notes = [note if len(names) == len(nodes) else f"{note} ({_some(names)})" for note, names in noted.items()]
    return [*(note for node in nodes for note in node.notes), *notes]


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more


def _named(problem: Problem, node: Node) -> Problem:
    return problem._replace(message=f"{problem.message} (on {node.identity.name})")
