#!/bin/sh
# tensor <- autograd <- layers <- optim <- zoo: nothing includes what stands to its right; cuda sees tensor alone.
# Public headers of the engine include the standard library and the engine, nothing else.
cd "$(dirname "$0")/.." || exit 1
failed=0
forbid() {  # folder, folders it must not include
  if grep -rnE "#include [\"<]($2)/" "$1" --include='*.h' --include='*.cpp' --include='*.cu'; then
    echo "$1 must not include $2"
    failed=1
  fi
}
forbid tensor 'autograd|layers|optim|zoo|cuda'
forbid autograd 'layers|optim|zoo|cuda'
forbid layers 'optim|zoo|cuda'
forbid optim 'zoo|cuda'
forbid cuda 'autograd|layers|optim|zoo'
if grep -nE '#include <[a-zA-Z0-9_]+[./]' tensor/*.h autograd/*.h layers/*.h optim/*.h; then
  echo "a public header of the engine includes more than the standard library"
  failed=1
fi
exit $failed
