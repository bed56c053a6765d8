# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of YAML documents. JSON is YAML: everything is a dictionary until it is written."""

from __future__ import annotations

import json


def documents(*wanted: dict[str, object]) -> str:
    """A file of documents."""
    return "\n---\n".join(json.dumps(document, indent=2) for document in wanted) + "\n"
