"""The provenance object (PEP 740) around what an upload brought."""

from __future__ import annotations

import json

from proxy.core.provenance import CONTENT_TYPE, provenance_of

ATTESTATION = {"version": 1, "verification_material": {"certificate": "naïve 🐍"}, "envelope": {"statement": "x"}}


def test_it_is_one_bundle_of_an_unverified_publisher() -> None:
    assert json.loads(provenance_of(json.dumps([ATTESTATION, ATTESTATION]))) == {
        "version": 1,
        "attestation_bundles": [
            {"publisher": {"kind": "unverified"}, "attestations": [ATTESTATION, ATTESTATION]},
        ],
    }


def test_the_attestations_stand_in_it_byte_for_byte() -> None:
    text = '[ {"version":1.0e0,   "envelope": {"statement": "\\u00e9"}} ]'
    assert text.encode() in provenance_of(text)


def test_its_type_is_that_of_integrity_documents() -> None:
    assert CONTENT_TYPE == "application/vnd.pypi.integrity.v1+json"
