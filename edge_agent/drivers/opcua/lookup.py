"""Where variables stand in a server: its namespaces and limits, node ids of addresses, engineering units. One session long, never longer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_agent.drivers.driver import DeviceMisanswered
from edge_agent.drivers.opcua import units
from edge_agent.drivers.opcua.address import OPC_UA, Address, NodeAddress
from edge_agent.drivers.opcua.declared import Item
from edge_agent.drivers.opcua.library import DataValue, NodeId, ua

_MOST_AT_ONCE: Final = 500  # of one request; less where the server says so
_MAX_NAMESPACES: Final = 65_536
_MAX_REFERENCES: Final = 1000  # of one node and one page
_MAX_PAGES: Final = 50
_LIMITS: Final = (
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
)


@dataclass(slots=True)
class Watch:
    """One variable under watch; `node` is None until it is found, `exponent` what its engineering units or the row say."""

    item: Item
    device: str
    node: NodeId | None = None
    status: int = 0
    exponent: int = 0
    watched: bool = False


@dataclass(slots=True)
class Limits:
    """How much one request may ask for."""

    read: int = _MOST_AT_ONCE
    watch: int = _MOST_AT_ONCE
    translate: int = _MOST_AT_ONCE


class Lookup:
    """See the module. Raises what the library raises, and DeviceMisanswered."""

    def __init__(self, url: str, session: Any) -> None:
        self._url = url
        self._session = session
        self.namespaces: list[str] = []
        self.limits = Limits()

    async def learn(self) -> None:
        """Asks for the namespace table and the limits of this session."""
        (names,) = await self.read([ua.NodeId(ua.ObjectIds.Server_NamespaceArray)])
        found = names.Value.Value if names.Value is not None else None
        if not isinstance(found, list) or len(found) > _MAX_NAMESPACES:
            raise DeviceMisanswered(f"{self._url}: expected a namespace table, saw {str(found)[:80]}")
        self.namespaces = [str(name) for name in found]
        limits = [_positive(answer) for answer in await self.read([ua.NodeId(node) for node in _LIMITS])]
        self.limits = Limits(*(min(limit or _MOST_AT_ONCE, _MOST_AT_ONCE) for limit in limits))

    async def read(self, nodes: Sequence[NodeId], attribute: Any = ua.AttributeIds.Value) -> list[DataValue]:
        """The attributes of nodes, as many a request as the server allows."""
        answers: list[DataValue] = []
        for begin in range(0, len(nodes), self.limits.read):
            part = list(nodes[begin : begin + self.limits.read])
            answer = await self._session.read_attributes(part, attribute)
            if len(answer) != len(part):
                raise DeviceMisanswered(f"{self._url}: expected {len(part)} values, saw {len(answer)}")
            answers += answer
        return answers

    async def translated(self, addresses: Sequence[Address]) -> list[tuple[NodeId | None, int]]:
        """Node ids of addresses, each with a status code that says why there is none."""
        results: list[tuple[NodeId | None, int]] = [(None, int(ua.StatusCodes.BadNodeIdUnknown))] * len(addresses)
        paths: list[tuple[int, Any]] = []
        for index, address in enumerate(addresses):
            if isinstance(address, NodeAddress):
                node = self._node(address)
                if node is not None:
                    results[index] = node, 0
            elif (path := self._path(address.start, address.steps)) is not None:
                paths.append((index, path))
        for begin in range(0, len(paths), self.limits.translate):
            part = paths[begin : begin + self.limits.translate]
            answers = await self._session.translate_browsepaths_to_nodeids([path for _, path in part])
            for (index, _), answer in zip(part, answers, strict=True):
                if answer.StatusCode.is_good() and answer.Targets:
                    results[index] = self.plain(answer.Targets[0].TargetId), 0
                else:
                    results[index] = None, int(answer.StatusCode.value) or int(ua.StatusCodes.BadNoMatch)
        return results

    def _node(self, address: NodeAddress) -> NodeId | None:
        index = self._index(address.namespace)
        return None if index is None else ua.NodeId(address.identifier, index)

    def _path(self, start: NodeAddress | None, steps: Sequence[tuple[str, str]]) -> Any | None:
        begin = ua.NodeId(ua.ObjectIds.ObjectsFolder) if start is None else self._node(start)
        if begin is None:
            return None
        path = ua.BrowsePath()
        path.StartingNode = begin
        for namespace, name in steps:
            index = self._index(namespace)
            if index is None:
                return None
            path.RelativePath.Elements.append(_step(ua.ObjectIds.HierarchicalReferences, name, index))
        return path

    async def engineering_units(self, nodes: Sequence[NodeId]) -> list[tuple[int | None, str]]:
        """UnitId and name of the engineering units of variables, (None, "") where one has none."""
        given: list[tuple[int | None, str]] = [(None, "")] * len(nodes)
        for begin in range(0, len(nodes), self.limits.translate):
            paths = []
            for node in nodes[begin : begin + self.limits.translate]:
                path = ua.BrowsePath()
                path.StartingNode = node
                path.RelativePath.Elements.append(_step(ua.ObjectIds.HasProperty, "EngineeringUnits", 0))
                paths.append(path)
            answers = await self._session.translate_browsepaths_to_nodeids(paths)
            found = [
                (begin + index, self.plain(answer.Targets[0].TargetId))
                for index, answer in enumerate(answers[: len(paths)])
                if answer.StatusCode.is_good() and answer.Targets
            ]
            values = await self.read([node for _, node in found])
            for (index, _), answer in zip(found, values, strict=True):
                unit = answer.Value.Value if answer.Value is not None else None
                unit_id = getattr(unit, "UnitId", None)
                given[index] = (
                    (unit_id if isinstance(unit_id, int) else None),
                    _text(getattr(unit, "DisplayName", None)),
                )
        return given

    async def references(self, nodes: Sequence[NodeId]) -> list[list[Any]]:
        """The forward hierarchical references of nodes, all pages of them."""
        descriptions = []
        for node in nodes:
            description = ua.BrowseDescription()
            description.NodeId = node
            description.BrowseDirection = ua.BrowseDirection.Forward
            description.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
            description.IncludeSubtypes = True
            description.NodeClassMask = ua.NodeClass.Object | ua.NodeClass.Variable
            description.ResultMask = ua.BrowseResultMask.All
            descriptions.append(description)
        asked = ua.BrowseParameters()
        asked.View = ua.ViewDescription()
        asked.RequestedMaxReferencesPerNode = _MAX_REFERENCES
        asked.NodesToBrowse = descriptions
        results = await self._session.browse(asked)
        if len(results) != len(nodes):
            raise DeviceMisanswered(f"{self._url}: expected references of {len(nodes)} nodes, saw {len(results)}")
        found = [list(result.References or ()) for result in results]
        for index, result in enumerate(results):
            point = result.ContinuationPoint
            for _ in range(_MAX_PAGES):
                if not point:
                    break
                more = ua.BrowseNextParameters()
                more.ContinuationPoints = [point]
                more.ReleaseContinuationPoints = False
                (page,) = await self._session.browse_next(more)
                found[index] += page.References or ()
                point = page.ContinuationPoint
        return found

    def plain(self, target: Any) -> NodeId:
        """A node id of this server; an expanded one may name its namespace instead of the index."""
        index = self._index(getattr(target, "NamespaceUri", None) or "")
        return ua.NodeId(target.Identifier, target.NamespaceIndex if index is None else index, target.NodeIdType)

    def _index(self, namespace: str) -> int | None:
        if namespace == OPC_UA:
            return 0
        return self.namespaces.index(namespace) if namespace in self.namespaces else None

    async def units(self, watches: Sequence[Watch]) -> list[str]:
        """Takes the power of ten from the EngineeringUnits of variables; one without units that fit counts as missing. Gives what to complain of."""
        known: set[int] = set()
        for watch, (unit_id, name) in zip(
            watches, await self.engineering_units([watch.node for watch in watches]), strict=True
        ):
            power = units.exponent(watch.item.quantity, unit_id, name)
            if power is not None:
                watch.exponent = watch.item.exponent + power
                known.add(id(watch))
        strangers = [watch for watch in watches if id(watch) not in known]
        for watch in strangers:
            watch.node, watch.status = None, int(ua.StatusCodes.BadConfigurationError)
        return [
            f"{watch.device}: {watch.item.quantity}: expected engineering units that fit, saw others or none"
            for watch in strangers
        ]


def _step(reference: int, name: str, index: int) -> Any:
    element = ua.RelativePathElement()
    element.ReferenceTypeId = ua.NodeId(reference)
    element.IsInverse = False  # the library's default is True
    element.IncludeSubtypes = True
    element.TargetName = ua.QualifiedName(name, index)
    return element


def _positive(answer: DataValue) -> int:
    value = answer.Value.Value if answer.Value is not None else None
    return value if isinstance(value, int) and value > 0 else 0


def _text(text: Any) -> str:
    return str(getattr(text, "Text", "") or "")
