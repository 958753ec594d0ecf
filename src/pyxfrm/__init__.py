"""Move live IPsec Security Associations (SAs), and prove it.

The rooms of this package, lowest floor first; a module imports only from rooms above it in this list:

``errors`` · ``abi`` · ``wire`` · ``model`` · ``esp`` · ``engine`` · ``transport`` · ``client`` ·
``relocation`` · ``lab`` · ``tunnel`` · ``cli``

docs/design.md tells what lives in each, and what never does.
"""

__version__ = "0.1.0"
