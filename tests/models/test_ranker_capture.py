"""Steps as one CUDA graph, proved without a GPU.

Nothing in a step asks the device for a number (under fake tensors, which have none to give), and a step that was recorded once, launch by
launch on the same tensors, is replayed to the bytes of steps that were never recorded.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.kernels import dispatch
from models.kernels.experts import everywhere, moe_route, reference
from models.ranker.advance import Captured, Found, Work, advance
from models.ranker.bodies import build
from models.ranker.course import Course, begin
from models.ranker.panel import Panel
from models.ranker.ring import Ring
from models.ranker.settings import RankerSettings
from models.ranker.step import Lessons, Step
from models.ranker.training import torch_state

SESSIONS, STOCKS, LOOKBACK, FACTORS = 27, 30, 3, 4
BATCH = 5  # so that the last step of an epoch is smaller
EPOCHS = 3


@pytest.fixture(scope="module", params=["ranker", "ranker_dense", "transformer", "mlp"])
def settings(request: pytest.FixtureRequest) -> RankerSettings:
    experts = {"experts": 4, "expert_width": 8} if request.param == "ranker" else {"experts": 0}
    lookback = 1 if request.param == "mlp" else LOOKBACK
    shape = {"width": 8, "cross_head": 8, "lookback": lookback, "time_inner": 8, "dropout": 0.3, "batch": BATCH, "epochs": EPOCHS}
    return RankerSettings.model_validate({"body": request.param, **shape, **experts, "capture": True})


@pytest.fixture(scope="module")
def lessons(settings: RankerSettings) -> Lessons:
    rng, lookback = np.random.default_rng(0), settings.lookback
    present = rng.random((SESSIONS, STOCKS)) < 0.8
    row_LN = np.zeros((SESSIONS + lookback - 1, STOCKS), dtype=np.int64)
    row_LN[lookback - 1 :][present] = np.arange(1, present.sum() + 1)
    x_QF = rng.normal(size=(present.sum() + 1, FACTORS + 1)).astype(np.float32)
    x_QF[0] = 0
    m_DM = rng.normal(size=(SESSIONS, 2)).astype(np.float32)
    panel = Panel(torch.from_numpy(x_QF), torch.from_numpy(row_LN), torch.from_numpy(m_DM), lookback)
    y_SNH = np.where(present[..., None], rng.normal(size=(SESSIONS, STOCKS, 2)), np.nan).astype(np.float32)
    every = np.arange(SESSIONS)
    return Lessons(panel, every, y_SNH, np.linspace(0.5, 1.5, SESSIONS, dtype=np.float32), every[:0], y_SNH[:0, :, 0], (1, 5))


def course_of(settings: RankerSettings) -> Course:
    with torch_state(1, 0):
        network = build(settings, factors=FACTORS, flags=1, gauges=2, horizons=2)
    return begin(network.train(), settings, 0, held="cpu")


def steps(lessons: Lessons, course: Course, settings: RankerSettings) -> Iterator[Step]:
    """The steps of some epochs, each with its chance, rate and pace."""
    batches = np.split(lessons.train, range(BATCH, SESSIONS, BATCH))
    slots = int(lessons.stocks_S.max())
    for places in batches * EPOCHS:
        with torch_state(1, 1000 + course.steps):
            course.prepare(settings, EPOCHS * len(batches))
            yield Step.of(lessons, places, Ring(), pairs=True, slots=slots)
        course.steps += 1


class Launches(TorchDispatchMode):
    """Notes each operation below autograd, with the tensors that it read and made."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.noted.append((func, args, kwargs or {}, made))
        return made

    @torch.no_grad()
    def again(self) -> None:
        """Launch all of it again, into the same tensors."""
        for func, args, kwargs, made in self.noted:
            for old, new in zip(tree_leaves(made), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def recorder(course: Course) -> Callable[[Work], Work]:
    """What a CUDA graph does, on a CPU: recording leaves everything as it was, and a replay runs no line of ours."""

    def record(work: Work) -> Work:
        state = [*course.network.state_dict().values(), *course.averaged.state_dict().values(), *tree_leaves(list(course.optimiser.state.values()))]
        before, chance = [one.clone() for one in state], torch.random.get_rng_state()
        with Launches() as launches:
            found = work()
        with torch.no_grad():
            for one, was in zip(state, before, strict=True):
                one.copy_(was)
        torch.random.set_rng_state(chance)

        def replay() -> Found:
            launches.again()
            return found

        return replay

    return record


def trained(lessons: Lessons, settings: RankerSettings, record: Callable[[Course], Callable[[Work], Work]]) -> dict[str, Tensor]:
    """The losses, loads and weights of a training whose steps were recorded so."""
    course = course_of(settings)
    captured = Captured(course, lessons, settings, record(course))
    found = [[one.clone() for one in captured(seen)] for seen in steps(lessons, course, settings)]
    parts = {f"averaged.{name}": value for name, value in course.averaged.state_dict().items()} | course.network.state_dict()
    return parts | {"losses": torch.stack([loss for loss, _ in found]), "loads": torch.stack([load_E for _, load_E in found])}


def test_recorded_steps_are_those_that_were_not(lessons: Lessons, settings: RankerSettings) -> None:
    plain = trained(lessons, settings, lambda course: lambda work: work)
    replayed = trained(lessons, settings, recorder)
    assert {name for name, value in plain.items() if not torch.equal(value, replayed[name])} == set()
    assert len(plain["losses"].unique()) > EPOCHS * SESSIONS // BATCH  # no step is another one again


def test_a_number_of_the_process_in_a_step_would_be_noticed(lessons: Lessons, settings: RankerSettings) -> None:
    def frozen(course: Course) -> Callable[[Work], Work]:
        course.pace = 0.0  # no longer a tensor: what it is in the recorded step, it stays
        return recorder(course)

    plain = trained(lessons, settings, lambda course: lambda work: work)
    replayed = trained(lessons, settings, frozen)
    assert torch.equal(plain["losses"], replayed["losses"])
    assert any(name.startswith("averaged") and not torch.equal(value, replayed[name]) for name, value in plain.items())


def on_nothing(lessons: Lessons, settings: RankerSettings) -> None:
    """A step over tensors that have shapes and no numbers; raises DataDependentOutputException where one is asked for."""
    course = course_of(settings)
    seen = next(steps(lessons, course, settings))
    with FakeTensorMode(allow_non_fake_inputs=True):
        loss, _ = advance(course, lessons, settings, seen)
    assert isinstance(loss, FakeTensor)


def test_a_step_asks_the_device_for_nothing(lessons: Lessons, settings: RankerSettings) -> None:
    with dispatch.silent():
        on_nothing(lessons, settings)


@pytest.mark.parametrize("settings", ["ranker"], indirect=True)
def test_asking_would_be_noticed(lessons: Lessons, settings: RankerSettings) -> None:
    with pytest.raises(DataDependentOutputException):
        on_nothing(lessons, settings)


def test_experts_who_answer_everywhere_say_the_same() -> None:
    torch.manual_seed(0)
    x_RC, *weights = (torch.randn(size, dtype=torch.float64, requires_grad=True) for size in ((40, 6), (5, 6, 8), (5, 6, 8), (5, 8, 6)))
    logits_RE = torch.randn(40, 5, dtype=torch.float64, requires_grad=True)
    leaves, found = (x_RC, *weights, logits_RE), []
    for answer in (reference, everywhere):
        y_RC = answer(x_RC, *weights, moe_route(logits_RE, torch.zeros(5, dtype=torch.float64), 2, torch.arange(40) % 7 > 0))
        found.append([y_RC, *torch.autograd.grad(y_RC.square().sum(), leaves)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
