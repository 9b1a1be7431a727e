# How items, hosts and sites stand: short words for tables.

outcome-not-applicable = not applicable
outcome-applied = applied
outcome-waived = waived
outcome-pending = pending
outcome-no-fix = no fix yet
outcome-unknown = unknown
outcome-absent = absent
outcome-ambiguous = ambiguous
outcome-drifted = differs
outcome-not-loaded = not loaded
outcome-missing = missing
outcome-wrong-variant = wrong variant
outcome-altered = altered
outcome-denied = known bad
outcome-stale = stale

verdict-issue = issue
verdict-hold = hold

standing-held = held
standing-silent = silent
standing-stopped = stopped
standing-verified = verified
# The evidence shown last has run out, and nothing newer has arrived.
standing-lapsed = unknown

kind-fix = fix
kind-lock = lock
kind-setting = setting
kind-program = program
kind-config = config
