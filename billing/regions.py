"""Which state, province or region somebody means: what people type into an address, as one word to compare.

Where taxes are a state's own, its name and its code (ISO 3166-2, without the country) are the same; elsewhere what is
typed is compared without regard to capitals and accents.
"""

import unicodedata
from functools import lru_cache

US = """
AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware|DC District of Columbia|
FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|KY Kentucky|LA Louisiana|ME Maine|
MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota|MS Mississippi|MO Missouri|MT Montana|NE Nebraska|NV Nevada|
NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|OR Oregon|
PA Pennsylvania|RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VT Vermont|VA Virginia|
WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming|AS American Samoa|GU Guam|MP Northern Mariana Islands|
PR Puerto Rico|VI U.S. Virgin Islands
"""
CA = """
AB Alberta|BC British Columbia|MB Manitoba|NB New Brunswick|NL Newfoundland and Labrador|NS Nova Scotia|
NT Northwest Territories|NU Nunavut|ON Ontario|PE Prince Edward Island|QC Quebec|SK Saskatchewan|YT Yukon
"""
IN = """
AP Andhra Pradesh|AR Arunachal Pradesh|AS Assam|BR Bihar|CG Chhattisgarh|GA Goa|GJ Gujarat|HR Haryana|
HP Himachal Pradesh|JH Jharkhand|KA Karnataka|KL Kerala|MP Madhya Pradesh|MH Maharashtra|MN Manipur|ML Meghalaya|
MZ Mizoram|NL Nagaland|OD Odisha|PB Punjab|RJ Rajasthan|SK Sikkim|TN Tamil Nadu|TS Telangana|TR Tripura|
UP Uttar Pradesh|UK Uttarakhand|WB West Bengal|AN Andaman and Nicobar Islands|CH Chandigarh|
DH Dadra and Nagar Haveli and Daman and Diu|DL Delhi|JK Jammu and Kashmir|LA Ladakh|LD Lakshadweep|PY Puducherry
"""


def _plain(text: str) -> str:
    """Letters and digits alone, without accents, in capitals."""
    bare = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in bare if letter.isalnum()).upper()


def _named(table: str) -> dict[str, str]:
    rows = [row.strip().split(" ", 1) for row in table.split("|")]
    return {word: code for code, name in rows for word in (code, _plain(name))}


CODES = {"US": _named(US), "CA": _named(CA), "IN": _named(IN)}


@lru_cache(maxsize=4096)
def code_of(country: str, state: str) -> str:
    """The word by which a state of a country is known: its code where the country is one of `CODES`, else what is typed,
    plainly. "" for nothing, and for what is no state of such a country."""
    word = _plain(state)
    if word.startswith(country) and len(word) == 4:  # as ISO 3166-2 says it: CA-QC
        word = word[2:]
    known = CODES.get(country)
    return word if known is None else known.get(word, "")
