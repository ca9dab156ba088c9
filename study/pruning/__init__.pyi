from .masking.masks import MaskedLayers as MaskedLayers
from .masking.masks import mask_layers as mask_layers
from .packed.pipelines import run_packed as run_packed
from .pipeline import run_pipeline as run_pipeline
from .plan import PruningPlan as PruningPlan
from .selection.saliency import SaliencyInputs as SaliencyInputs
from .training.trajectory import train_dense as train_dense
