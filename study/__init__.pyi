from .commands.running import run as run
from .configuration.loading import StudyConfig as StudyConfig
from .configuration.loading import load_config as load_config
from .errors import NothingToReportError as NothingToReportError
from .errors import UsageError as UsageError
from .exporting.networks import load_network as load_network
from .exporting.sparse_files import load_sparse as load_sparse
