from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors this small wait for a second thread longer than they compute
    torch.manual_seed(3)
    yield
    torch.set_num_threads(threads)
