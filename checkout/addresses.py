"""Which parts of an address a country writes, and what it calls them. Only what mail and tax need."""

from dataclasses import dataclass

# ISO 3166-1 codes of countries whose addresses have no postal code, or whose people rarely use one.
WITHOUT_POSTAL_CODE = frozenset(
    """
    AE AG AO AW BF BI BJ BO BS BW BZ CD CF CG CI CK CM DJ DM ER FJ GA GD GH GM GQ GY HK IE JM KI KM KN KP LC
    ML MO MR MW NR NU QA RW SB SC SL SO SR ST SY TD TF TG TK TL TO TT TV TZ UG VU YE ZW
    """.split()
)
# Where the region is a part of every address, or of the tax.
REGIONS = {
    "US": "State", "CA": "Province", "AU": "State", "IN": "State", "BR": "State", "MX": "State",
    "MY": "State", "IT": "Province", "ES": "Province", "JP": "Prefecture", "CN": "Province", "AR": "Province",
}  # fmt: skip
REGION_NEEDED = frozenset(("US", "CA", "AU", "IN", "BR", "MX"))
POSTAL_NAMES = {
    "US": "ZIP code", "GB": "Postcode", "AU": "Postcode", "NZ": "Postcode", "IE": "Eircode", "IN": "PIN code",
}  # fmt: skip
CITY_NAMES = {"GB": "Town or city", "HK": "District", "SG": "City"}
TAX_ID_NAMES = {
    "US": "EIN", "AU": "ABN", "IN": "GSTIN", "BR": "CNPJ", "CH": "VAT number", "NO": "VAT number",
    "GB": "VAT number",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AddressForm:
    """How to ask for an address in one country. A part without a label is not asked for."""

    city: str
    region: str
    region_needed: bool
    postal_code: str
    postal_code_needed: bool
    tax_id: str


def form_for(country: str, *, in_eu: bool) -> AddressForm:
    """The parts for a country; "" while none is chosen: everything is asked, only the city is needed."""
    return AddressForm(
        city=CITY_NAMES.get(country, "City"),
        region=REGIONS.get(country, "" if country else "State or region"),
        region_needed=country in REGION_NEEDED,
        postal_code=_postal_code(country),
        postal_code_needed=bool(country) and country not in WITHOUT_POSTAL_CODE,
        tax_id="VAT number" if in_eu else TAX_ID_NAMES.get(country, "Tax number"),
    )


def _postal_code(country: str) -> str:
    if country in WITHOUT_POSTAL_CODE and country not in POSTAL_NAMES:
        return ""
    return POSTAL_NAMES.get(country, "Postal code")
