"""All models of the zoo."""

from tests.zoo.attentive import ATTENTIVE
from tests.zoo.convolutional import CONVOLUTIONAL
from tests.zoo.layers import LAYERS
from tests.zoo.timm_models import TIMM

ZOO = {entry.name: entry for entry in (*LAYERS, *CONVOLUTIONAL, *ATTENTIVE, *TIMM)}
