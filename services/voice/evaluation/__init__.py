"""How much a clone resembles the person, judged by a model that the engine never sees."""

from .similarity import Comparison, EvaluationUnavailable, compare, similarity

__all__ = ["Comparison", "EvaluationUnavailable", "compare", "similarity"]
