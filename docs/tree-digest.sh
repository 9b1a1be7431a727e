#!/usr/bin/env bash
# Prints the file list of the tree at ROOT; its SHA-256 is the tree's digest:
#   tree-digest.sh [--follow LINK]... ROOT [PATTERN]... | sha256sum
# A PATTERN is a find -path pattern of what does not count, as './logs/*' for the glob logs/**. A LINK is one of
# symbolic links that lead out of the tree and whose targets count, as './lib/print.mod'; of a link that leads to
# something in the tree, what lies behind it counts already.
# Needs bash, GNU findutils, sed and coreutils.
set -euo pipefail
export LC_ALL=C
follow=()
while [ "$1" = --follow ]; do
  follow+=("$2")
  shift 2
done
cd -- "$1"
shift
excluded=(-false)
for pattern in "$@"; do excluded+=(-o -path "$pattern"); done

# Files (f) or links (l) below a directory, but for what lies below an excluded path. A slash behind the name of
# a link makes find enter it.
entries() { find "$1" '(' "${excluded[@]}" ')' -prune -o -type "$2" -print0; }

# All that counts below the directory $1, whose paths begin with $2 in the list. $3 and what follows are the
# directories that were entered on the way.
list() {
  local directory=$1 name=$2 path digest
  shift 2
  # --zero: lines end with NUL and names are not escaped, so that any name can be sorted as it is.
  # ./ before every name, so that none is taken for an option or for standard input.
  entries "$directory" f | xargs -0 -r sha256sum --zero -- | renamed "$directory" "$name"
  # A link counts by its target text; its path is followed by //, which no path contains.
  entries "$directory" l | while IFS= read -r -d '' path; do
    digest=$(readlink -n -- "$path" | sha256sum)
    printf '%s  %s//\0' "${digest%% *}" "$path"
  done | renamed "$directory" "$name"
  if [ ${#follow[@]} -gt 0 ]; then
    entries "$directory" l | while IFS= read -r -d '' path; do
      if is_followed "$path"; then behind "$path" "$name${path#"$directory"}" "$@"; fi
    done
  fi
}

is_followed() {
  local pattern
  for pattern in "${follow[@]}"; do
    # shellcheck disable=SC2053 # It is a pattern.
    if [[ $1 == $pattern ]]; then return 0; fi
  done
  return 1
}

# What the link $1, by the name $2, leads to: the file's content behind ///, or all that is in the directory,
# unless it was entered already. What is not there has no line.
behind() {
  local path=$1 name=$2 digest entered
  shift 2
  if [ -f "$path" ]; then
    digest=$(sha256sum < "$path")
    printf '%s  %s///\0' "${digest%% *}" "$name"
  elif [ -d "$path" ]; then
    for entered in "$@"; do
      if [ "$path" -ef "$entered" ]; then return; fi
    done
    list "$path/" "$name///" "$@" "$path"
  fi
}

# Puts $2 in the place of $1, with which the path of every line begins, at its 67th byte.
renamed() {
  local name
  name=$(printf '%s' "$2" | sed -z 's/[\\&|\n]/\\&/g')
  sed -z -E "s|^(.{66}).{${#1}}|\\1$name|"
}

list ./ '' . |
  # By raw path bytes.
  sort -z -t '\0' -k 1.67 |
  # As sha256sum escapes names: a mark before the line, \\ for \, \n and \r for line ends.
  sed -z '/[\\\n\r]/ { s/\\/\\\\/g; s/\n/\\n/g; s/\r/\\r/g; s/^/\\/ }' |
  tr '\0' '\n'
