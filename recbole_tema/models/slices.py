"""Item tables cut into slices of rows, one a process, where a whole one does not fit a card.

A sliced table is a torch ``DTensor``: as a parameter it is trained and optimised slice by slice.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

from recbole_tema.distributed import rank, world_size


def slice_bounds(rows: int) -> list[tuple[int, int]]:
    """For each process the half-open range of its rows, as DTensor's Shard(0) cuts them."""
    size = -(-rows // world_size())
    return [
        (min(number * size, rows), min((number + 1) * size, rows)) for number in range(world_size())
    ]


def sliced(whole: Tensor, mesh: DeviceMesh) -> DTensor:
    """``whole``, which every process has, as a table of which each keeps its slice on the mesh."""
    start, stop = slice_bounds(len(whole))[rank()]
    own = whole.detach()[start:stop].clone().to(mesh.device_type)
    return DTensor.from_local(
        own, mesh, [Shard(0)], run_check=False, shape=whole.shape, stride=whole.stride()
    )


def rows_of(table: Tensor, items: Tensor) -> Tensor:
    """(n, d) the rows ``items`` (n,) of a table; of a sliced one all processes ask for the same.

    The gradient of a sliced table is the sum over the processes' losses, each slice its own rows'.
    """
    if not isinstance(table, DTensor):
        # Its gradient is many times faster than that of table[items] or an embedding's.
        return table.index_select(0, items)
    start, stop = slice_bounds(len(table))[rank()]
    own = (items >= start) & (items < stop)
    # DTensor's own embedding would make the gradient of the whole table in every process.
    found = table.to_local().index_select(0, torch.where(own, items - start, 0))
    parts = found.masked_fill(~own[:, None], 0)
    total = DTensor.from_local(parts, table.device_mesh, [Partial()], run_check=False)
    # A sum by way of its slices, whose gradient is the sum of the processes' gradients; straight
    # from Partial to Replicate torch takes these to be equal.
    everywhere = total.redistribute(placements=[Shard(0)]).redistribute(placements=[Replicate()])
    return everywhere.to_local(grad_placements=[Partial()])


def needed_by_any(items: Tensor, n_items: int) -> Tensor:
    """(u,) ascending, the items that some process has among its ``items`` (n,)."""
    needed = torch.zeros(n_items, dtype=torch.uint8, device=items.device)
    needed[items] = 1
    dist.all_reduce(needed, dist.ReduceOp.MAX)
    return needed.nonzero().squeeze(1)


def gathered(state: Any) -> Any:
    """A nested state with whole tensors, on the CPU, in the place of sliced ones."""
    if isinstance(state, DTensor):
        mesh = DeviceMesh("cpu", torch.arange(world_size()))
        own = DTensor.from_local(
            state.to_local().cpu(),
            mesh,
            [Shard(0)],
            run_check=False,
            shape=state.shape,
            stride=state.stride(),
        )
        return own.full_tensor()
    if isinstance(state, dict):
        return {key: gathered(value) for key, value in state.items()}
    return state


def sliced_like(state: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """``state`` with slices of the tensors that are sliced in ``like``."""
    return {
        key: sliced(value, like[key].device_mesh)
        if isinstance(like.get(key), DTensor) and not isinstance(value, DTensor)
        else value
        for key, value in state.items()
    }


def optimizer_sliced_like(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> Any:
    """An optimizer's saved ``state`` with slices for the parameters that are sliced."""
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    of_parameters = {
        number: {
            key: sliced(value, parameters[number].device_mesh)
            if isinstance(parameters[number], DTensor) and value.shape == parameters[number].shape
            else value
            for key, value in entry.items()
        }
        for number, entry in state["state"].items()
    }
    return {**state, "state": of_parameters}
