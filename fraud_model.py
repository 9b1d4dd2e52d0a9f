"""`from fraud_model import FraudModel`, or train, compare, evaluate, explain, features."""

from flagpost.model import FraudModel
from flagpost.training.model_commands import app

__all__ = ["FraudModel"]

if __name__ == "__main__":
    app()
