"""Objects to documents and back: the engine. It walks; what a value means is in the rules of ``vocab``.

rule.py   Rule and Vocabulary: what is known of a type, in both directions
lower.py  objects -> document: identity, cycles, back-references, the path for errors
audit.py  what of a document may be built: the rule of each part
lift.py   document -> objects: what was audited is built
"""
