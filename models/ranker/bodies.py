"""The networks by the names that settings give them."""

from models.ranker.body import Body
from models.ranker.network import Network
from models.ranker.plain import Gru, Mlp, Transformer
from models.ranker.settings import BodyName, RankerSettings

BODIES: dict[BodyName, type[Network | Mlp | Gru | Transformer]] = {
    "ranker": Network,
    "ranker_dense": Network,
    "transformer": Transformer,
    "gru": Gru,
    "mlp": Mlp,
}


def build(settings: RankerSettings, *, factors: int, flags: int, gauges: int, horizons: int) -> Body:
    """A fresh network with weights drawn from torch's chance."""
    return BODIES[settings.body](settings, factors=factors, flags=flags, gauges=gauges, horizons=horizons)
