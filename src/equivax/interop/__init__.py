"""In and out: models that other libraries made. Nothing of these is needed to run the rest."""

from ._impose import Imposed as Imposed
from ._impose import impose as impose
