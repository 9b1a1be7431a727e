#!/usr/bin/env bash
# Prints the file list of the tree at ROOT; its SHA-256 is the tree's digest:
#   tree-digest.sh ROOT [PATTERN]... | sha256sum
# A PATTERN is a find -path pattern of what does not count, as './logs/*' for the glob logs/**.
# Needs bash, GNU findutils, sed and coreutils.
set -euo pipefail
export LC_ALL=C
cd -- "$1"
shift

# Files and links, but for what lies below an excluded path.
entries() {
  local type=$1 excluded=(-false)
  shift
  for pattern in "$@"; do excluded+=(-o -path "$pattern"); done
  find . '(' "${excluded[@]}" ')' -prune -o -type "$type" -print0
}

{
  # --zero: lines end with NUL and names are not escaped, so that any name can be sorted as it is.
  # ./ before every name, so that none is taken for an option or for standard input.
  entries f "$@" | xargs -0 -r sha256sum --zero --
  # A link counts by its target text; its path is followed by //, which no path contains.
  entries l "$@" | while IFS= read -r -d '' link; do
    target=$(readlink -n -- "$link" | sha256sum)
    printf '%s  %s//\0' "${target%% *}" "$link"
  done
} |
  sed -z 's|^\([0-9a-f]\{64\}  \)\./|\1|' |
  # By raw path bytes: the path begins at the 67th byte of its line.
  sort -z -t '\0' -k 1.67 |
  # As sha256sum escapes names: a mark before the line, \\ for \, \n and \r for line ends.
  sed -z '/[\\\n\r]/ { s/\\/\\\\/g; s/\n/\\n/g; s/\r/\\r/g; s/^/\\/ }' |
  tr '\0' '\n'
