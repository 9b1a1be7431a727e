# What a gate answers, for the page that a clerk or an operator of the issuing system sees.

gate-issue = Certificates may be issued.
gate-hold = Certificate issuance is on hold.
gate-unknown = Whether certificates may be issued could not be told. Treat this as on hold.
gate-until = Valid until { $time }.
gate-baseline = Fix baseline { $version }
gate-decision = Decision { $decision }
