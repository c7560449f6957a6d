"""The open-source control plane for data annotation."""
