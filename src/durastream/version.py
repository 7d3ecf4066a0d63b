"""The version of durastream, without a look at package metadata: that takes longer than the agent's start."""

VERSION = "0.1.0"
