"""Why a net learns or does not: gradients through time, what the data need, a verdict, a remedy."""

from elman.evidence.diagnose.diagnosis import Diagnosis, diagnose
from elman.evidence.diagnose.flow import Flow, flows
from elman.evidence.diagnose.need import Need, need_of
from elman.evidence.diagnose.verdict import Remedy, Verdict

__all__ = ["Diagnosis", "Flow", "Need", "Remedy", "Verdict", "diagnose", "flows", "need_of"]
