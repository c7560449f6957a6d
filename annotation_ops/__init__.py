"""The open-source control plane for data annotation."""

__version__ = "0.1.0"
