"""One training step by several processes: each takes a part of the batch, gradients are joined.

torch's DistributedDataParallel joins them. RecBole runs a model's ``calculate_loss``, not its
``forward``, and a batch does not always fall into equal parts; both are seen to here.
"""

from typing import Any, cast

import torch
import torch.distributed as dist
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.trainer import Trainer
from recbole.utils import ModelType
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from recbole_tema import distributed
from recbole_tema.data.loaders import weighs_nothing

Losses = Tensor | tuple[Tensor, ...]


class SharedLoss:
    """The loss of the whole batch, by each process's part of it.

    A model's loss is the mean over some units: the rows of the batch, or what its
    ``loss_weight(interaction)`` counts. With n_p units in process p of n in all,

        L = Σ_p n_p / n · L_p,

    and likewise its gradient: what one process with the whole batch has, but for rounding. That a
    model's loss is such a mean is tried on the first batch.

    Args:
        model: with ``calculate_loss``; its parameters become those of the first process.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        # Ours say what their loss is a mean over.
        self._tried = hasattr(model, "loss_weight")
        # Some of a model's parameters may play no part in a batch, as those of a view without
        # events.
        self._joined = DistributedDataParallel(_Loss(model), find_unused_parameters=True)
        for parameter in model.parameters():
            if isinstance(parameter, DTensor):
                # Its gradient is the sum over processes, where the others' is the mean.
                parameter.register_hook(lambda grad: grad / distributed.world_size())

    def __call__(self, interaction: Interaction) -> Losses:
        """The value is that of the whole batch in every process, the gradient made from all parts.

        A model with several losses gets each of them.
        """
        if not self._tried and len(interaction) > 1:
            self._try_a_mean(interaction)
        losses = cast(Losses, self._joined(interaction))
        parts = torch.stack(losses) if isinstance(losses, tuple) else losses[None]
        units = self._units(interaction).to(parts.device, torch.float64)
        sums = torch.cat([units[None], units * parts.detach()])
        dist.all_reduce(sums)
        whole = (sums[1:] / sums[0]).to(parts.dtype)
        # DistributedDataParallel takes the mean over processes.
        own = parts * (distributed.world_size() * units / sums[0]).to(parts.dtype)
        joined = own + (whole - own).detach()
        return tuple(joined.unbind()) if isinstance(losses, tuple) else joined[0]

    @torch.no_grad()
    def _try_a_mean(self, interaction: Interaction) -> None:
        """Refuse a loss that two halves of the rows do not make up, such as a sum over rows.

        Raises:
            ValueError: it is no mean over rows, or depends on random numbers.
        """
        middle = len(interaction) // 2
        training = self._model.training
        self._model.eval()  # without dropout
        with torch.random.fork_rng():
            whole, first, second = (
                self._total(interaction[part])
                for part in (slice(None), slice(middle), slice(middle, None))
            )
        self._model.train(training)
        mean = (middle * first + (len(interaction) - middle) * second) / len(interaction)
        if not torch.isclose(whole, mean, rtol=1e-3):
            raise ValueError(
                f"{type(self._model).__name__}: its loss is no mean over the rows of a batch, "
                "which several processes could join; run it with nproc: 1"
            )
        self._tried = True

    def _total(self, interaction: Interaction) -> Tensor:
        losses = self._model.calculate_loss(interaction)
        return torch.stack(losses).sum() if isinstance(losses, tuple) else losses

    def _units(self, interaction: Interaction) -> Tensor:
        if weighs_nothing(interaction):
            return torch.zeros(())
        if hasattr(self._model, "loss_weight"):
            return self._model.loss_weight(interaction)
        return torch.tensor(len(interaction))


class _Loss(nn.Module):
    """A model's loss as a forward pass, with the parameters that all processes have."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        # Not the module itself: frozen features are no buffers to join, sliced tables no
        # parameters.
        self._calculate_loss = model.calculate_loss
        self.whole = nn.ParameterList(
            each for each in model.parameters() if not isinstance(each, DTensor)
        )

    def forward(self, interaction: Interaction) -> Losses:
        return self._calculate_loss(interaction)


def shares_training(config: Config) -> bool:
    """Whether several processes share the training of this model.

    A model that is computed from all rows at once, such as ItemKNN, each of them computes itself.
    """
    return distributed.world_size() > 1 and config["MODEL_TYPE"] != ModelType.TRADITIONAL


def check_trainer(config: Config, trainer: type[Any]) -> None:
    """Refuse one of RecBole's trainers that several processes cannot run together.

    Raises:
        ValueError: with the reason.
    """
    if shares_training(config) and trainer._train_epoch is not Trainer._train_epoch:
        raise ValueError(
            f"{config['model']} trains its parts in turns, each with an optimizer of its own, "
            "which several processes cannot share; run it with nproc: 1"
        )


def shareable(config: Config, model: Any) -> Any:
    """``model`` with what makes its loss a mean over the rows of all processes.

    Raises:
        ValueError: there is nothing that does.
    """
    if not shares_training(config):
        return model
    if not any(isinstance(module, _BatchNorm) for module in model.modules()):
        return model
    if config["device"].type != "cuda":
        raise ValueError(
            f"{config['model']} normalises over the rows of its batch, which several processes "
            "can do together on GPUs only; run it with nproc: 1"
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)
