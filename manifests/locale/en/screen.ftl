# The dashboard and the commands of sekisho.

# Counts. The denominator is always the registry's.
count-verified = { $verified } of { $sites } verified
count-held = { $count } held
count-silent = { $count } silent
count-stopped = { $count } stopped
count-lapsed = { $count } unknown
count-also-stopped = a stop covers { $count } of these too
count-under-baseline = { $count } under this baseline
expiring-root = The root
expiring-targets = The signature on baseline and registry
expiring-lifts = The signature on lifts
expiring-certificate = The controller's TLS certificate
expiring-ca = The controller's CA
expiring-token = The enrolment token of
expiring-ends = { $what } ends in { $left }, on { $time }.
expiring-ended = { $what } ended on { $time }.
not-verified = Not verified at present: { $count } of { $sites } sites. See sekisho sites.
count-warned = { $count } with warnings
count-hosts = { $count ->
    [one] { $count } host
   *[other] { $count } hosts
}
baseline-version = baseline { $version }
baseline-none = no baseline published

# Where the data come from and how old they are.
data-as-of = as of { $time }
data-last-known = last known { $age } ago
link-connecting = connecting to { $controller }
link-live = connected
link-lost = NO CONTACT for { $age }: { $why }. Next attempt in { $wait }. { $controller }
link-lost-trying = NO CONTACT for { $age }: { $why }. Trying again now. { $controller }
link-timeout = no answer in time
link-connect = cannot connect
link-refused = access refused; check the token
link-answer = answer not understood
link-too-large = answer too large
link-status = the controller reports a failure
link-ended = the connection ended
data-loading = loading
data-none = No data yet: there is no contact with the controller.

# Table heads.
head-state = state
head-code = code
head-name = name
head-reason = reason
head-hosts = hosts
head-hosts-short = #
head-since = since
head-until = until
head-host = host
head-roles = roles
head-verdict = gate
head-heard = heard
head-evidence = evidence
head-agent = agent
head-permit = permit
head-item = item
head-kind = kind
head-title = title
head-outcomes = hosts by outcome
head-holds = sites held
head-number = number
head-time = time
head-scope = scope
head-operator = operator
head-acknowledged = acknowledged
head-outstanding = outstanding
head-lifted = lifted
head-digest = digest

# The fleet.
more-reasons = +{ $count }
fleet-empty = The registry has no sites.
filter-prompt = filter (! first inverts):
filter-shown = { $shown } of { $all } sites shown
filter-nothing = No site matches the filter.
show-all = all
show-only = only { $standing }
sort-by = sorted by { $column }
sort-news = bad news first
sort-code = code
sort-since = newest change
sort-until = shortest validity

# A site.
site-since = since { $time }
site-until = Evidence counts until { $time }.
site-never = Not every host has shown evidence.
site-stops = Stops that cover this site
stop-scope-all = all sites
stop-scope-sites = { $count ->
    [one] { $count } named site
   *[other] { $count } named sites
}
stop-scope-prefecture = prefecture { $prefecture }
stop-scope-unrecognized = a scope this version does not know
stop-line = Stop { $number }: { $scope }, by { $operator }, { $time }
stop-reason = Reason: { $reason }
stop-progress = Hosts of this site: { $acknowledged } acknowledged, { $outstanding } outstanding
stop-lifted-here = Lifted for this site.
host-heard = heard { $age } ago
host-never-heard = never heard
host-evidence = evidence { $age } old
host-no-evidence = no evidence
host-agent = agent { $version }
host-permit = permit: { $verdict } until { $time }
host-permit-unreceived = permit: { $verdict } until { $time } (not confirmed by the host)
host-no-permit = no permit
host-items-good = { $count ->
    [one] { $count } other item as it should be
   *[other] { $count } other items as they should be
}
host-items-elsewhere = { $count ->
    [one] { $count } item that does not apply here
   *[other] { $count } items that do not apply here
}
host-items-none = No item has been judged.
detail-expected = { $subject }: expected { $expected }, found { $found }
waived-until = waived until { $time }
to-do = To do: { $action }

# What the appraiser writes into details.
detail-absent = absent
detail-present = present
detail-unknown = unknown
detail-not-running = not running
detail-not-in-evidence = not in evidence
detail-not-required-yet = not required yet
detail-variant = variant { $after }
detail-a-listed-release = a listed release
detail-not-on-this-host = not on this host
detail-in-force-not-in-evidence = value in force not in evidence
detail-in-force-incomparable = value in force cannot be compared
detail-different-values = different values in lines { $after }
detail-one-of = one of { $after }
detail-matches = matches { $after }
detail-package = package { $after }
detail-sealed = sealed { $after }
detail-unknown-why = unknown: { $after }
detail-in-force-unknown = in force unknown: { $after }
detail-named-unknown = { $before } unknown: { $after }
detail-on-disk = { $before } on disk, { $after }
detail-process-older = a process has an older { $before } ({ $after })
detail-process-another = a process sees another { $after }
detail-process-runs = a process runs { $after }
detail-processes-unknown = processes unknown: { $after }
detail-read-not-in-evidence = what programs have read is not in evidence
detail-files-not-listed = { $before } files not listed
detail-and-more = { $before } and { $after } more
detail-unclear = unclear in lines { $before }: { $after }
older-held = held
older-changed = changed since it was read
older-before-first-look = changed after the start, before the first look
older-may-have-gone = something may have been removed after the start
older-mounted = mounted, perhaps after the start
older-copy = runs from a copy
older-shadowed = taken from outside of the tree
detail-known-bad = { $before }, known bad: { $after }
detail-no-listed-release = { $before }, no listed release
detail-in-force = { $before } in force
detail-or = { $before } or { $after }

# Why something is not known.
why-file-absent = file-absent
why-key-absent = key-absent
why-unreadable = unreadable
why-too-large = too-large
why-timed-out = timed-out
why-changing = changing
why-undecodable = undecodable
why-malformed = malformed
why-ambiguous = ambiguous
why-unexpected-value = unexpected-value
why-unsupported = unsupported
why-not-a-file = not-a-file
why-process-unreadable = process-unreadable
why-not-answering = not-answering
why-io-error = io-error

# What is odd where a value is unclear, and what settles it.
odd-duplicate = the key stands twice with different values; remove one
odd-readers = readers of the format take it differently; name the one that the program follows with `reader`
odd-key = two keys of the file are written alike because of dots in their names; write the key in the baseline with quotes, as queue."print.lock", whichever `reader` it is
odd-case = the key or its section is written in other capitals, which some readers ignore; name the reader with `reader`, or write it as the baseline does
odd-section = the header of its section is one that readers take differently (blanks, other words, [DEFAULT], a section opened twice); name the reader with `reader`, or write [section] alone
odd-separator = `:` separates for some readers and not for others; write `=`, or name the reader with `reader`
odd-no-value = the key stands without `=`, which readers take differently; name the reader with `reader`
odd-quotes = quotes stand around it, which some readers take off; remove them, or name the reader with `reader`
odd-comment = behind it stands what some readers take for a comment; move it to a line of its own, or name the reader with `reader`
odd-continuation = the line may be more of the value above it, or be followed by more; write it at the beginning of a line without `\`, or name the reader with `reader`
odd-blanks = blanks at its end or within it are kept by some readers; remove them, or name the reader with `reader`
odd-escape = `\` and the next character are one to some readers; name the reader with `reader`
odd-interpolation = some readers put something else in the place of `%`; name the reader with `reader`
odd-byte-order-mark = a byte order mark stands in the file, which readers take differently; save the file without one, or name the reader with `reader`
odd-line-end = a carriage return stands alone, which ends a line for some readers; save the file with one kind of line end, or name the reader with `reader`
odd-type = some readers take it for another type, as yes or 010; write true or a plain number, put a text in quotes, or name the reader with `reader`
odd-repeated = something above it stands several times, and not everywhere has it; no `reader` settles which one the program takes
odd-include = the file includes another one that `files` of the configuration does not list; list it, or remove the directive
odd-doctype = the document type stands in another file, which may give it a value; write the value into the file, whatever the `reader`
odd-spelling = a number or a boolean is compared, and it is none as TOML spells it; or a program may read the text that is compared in it. Write it as the baseline does

# Keys and help.
help-title = Keys
help-close = Esc, q or ? closes this help.
page-more = { $count } more below
help-states = States
help-state-held = An item is not as it must be, or evidence is refused.
help-state-silent = A host has not shown evidence in time.
help-state-stopped = A stop covers the site.
help-state-verified = May issue, verified as of its evidence.
help-warned-word = warning sign
help-warned = Beside a state: there is something to look at, and it holds nobody.
help-state-lapsed = The last evidence has run out while this screen heard nothing newer.
key-up = up
key-down = down
key-page-up = page up
key-page-down = page down
key-half-up = half a page up
key-half-down = half a page down
key-first = first
key-last = last
key-open = open the site
key-back = back
key-clear = clear filter and state
key-close = close
key-filter = filter
key-cycle = next state only
key-cycle-back = previous state only
key-next-host = next host
key-previous-host = previous host
key-sort = sort
key-refresh = fetch now
key-help = help
key-quit = quit
key-apply = keep the filter
key-cancel = drop the filter
too-small = The window is too small: { $width } x { $height }. At least 60 x 15 is needed.
demo-mark = { $mark }: not a real fleet

# Commands.
stopped-now = Stop { $number } is in force: { $scope }.
stop-digest = Digest: { $digest }
stop-not-made = Nothing was stopped: no controller has taken the stop.
stop-unknown = The stop may be in force or not: it was sent, and no answer came. See `sekisho stops`; stopping once more does no harm.
stop-acknowledged = Acknowledged ({ $count }):
stop-outstanding = Outstanding ({ $count }), able to issue until their permit ends:
stop-nobody = none
stop-permit-end = { $host } until { $time }
stop-permit-none = { $host } has no permit
unlisted-none = No stop waits to be taken over.
unlisted-waiting = { $count ->
    [one] 1 stop under a key that the registry does not list waits to be taken over: sekisho unlisted
   *[other] { $count } stops under keys that the registry does not list wait to be taken over: sekisho unlisted
}
head-key = key
set-back = Attention: this controller was set back to an earlier moment. { $host } has its { $proof }, which it does not know (noticed { $time }). Nobody may issue until an admin has looked at it: docs/operations-controllers.md, then sekisho looked-at --note "…"
set-back-brief = SET BACK TO AN EARLIER MOMENT: nobody may issue until an admin has looked (sekisho looked-at). Noticed { $time } by { $host }, { $proof }
key-used-twice = Attention: another controller signs with this one's key. { $host } has { $proof }, signed while this one was serving (noticed { $time }). Nobody may issue until one of the two is ended and an admin has looked at it: docs/operations-controllers.md, then sekisho looked-at --note "…"
key-used-twice-brief = ANOTHER CONTROLLER SIGNS WITH THIS ONE'S KEY: end one of the two, then sekisho looked-at. Noticed { $time } by { $host }, { $proof }
set-back-unknown = It cannot be told whether this controller was set back to an earlier moment: { $cause }
unlisted-unknown = It cannot be told whether stops wait to be taken over: { $cause }
set-back-looked-at = It is noted. Hosts may issue again with their next report.
stops-none = No stop was ever made.
stops-lifted-all = all of it

# Ages and waits.
age-seconds = { $count } s
age-minutes = { $count } min
age-hours = { $count } h
age-days = { $count } d
