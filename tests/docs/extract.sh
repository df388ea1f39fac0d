#!/bin/sh
# extract.sh PAGE FOLDER: writes the page's ```cpp file=NAME blocks into the folder (only if they changed) and prints the names of its programs
# (.cpp; headers are written too).
set -eu
mkdir -p "$2"
for name in $(sed -n 's/^```cpp file=\([a-z_]*\.\(cpp\|h\)\)$/\1/p' "$1"); do
  awk -v start="\`\`\`cpp file=$name" '$0 == start { inside = 1; next } $0 == "```" { inside = 0 } inside' "$1" >"$2/$name.new"
  if cmp -s "$2/$name.new" "$2/$name"; then rm "$2/$name.new"; else mv "$2/$name.new" "$2/$name"; fi
  case $name in *.cpp) printf '%s ' "$name" ;; esac
done
