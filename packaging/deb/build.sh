#!/bin/bash
# Builds dist/istio-agent_VERSION_amd64.deb out of .build/agent (make setup) with Debian's own tools.
#
#   VERSION=0.1.1      another version than vmagent.__version__ says: for trying an upgrade
#   COMPRESSION=none   quickly, for trying things; xz otherwise
#
# Two builds of one commit are equal, byte for byte: times are those of the commit (SOURCE_DATE_EPOCH), byte code holds no
# time and no place of the builder.
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 022

HERE=packaging/deb
WORK=.build/deb
SOURCE=$WORK/istio-agent
TREE=$SOURCE/tree
HOME_OF_AGENT=$TREE/usr/lib/istio-agent
PACKAGES=lib/python3.11/dist-packages

written_version() { sed -n 's/^__version__ = "\(.*\)"$/\1/p' vmagent/__init__.py; }

VERSION=${VERSION:-$(written_version)}
COMPRESSION=${COMPRESSION:-xz}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export VERSION COMPRESSION SOURCE_DATE_EPOCH
DEB=dist/istio-agent_${VERSION}_amd64.deb

# Everything that ends in the package, as one number.
fingerprint() {
  {
    echo "$VERSION $COMPRESSION $SOURCE_DATE_EPOCH"
    find packaging systemd etc vmagent CHANGELOG.md -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
    cat .build/agent/.made-from
    stat -c '%s %Y' .build/agent/bin/envoy
  } | sha256sum
}

stage_tree() {
  install -d "$TREE/usr/bin" "$TREE/usr/lib" "$TREE/usr/share/doc/istio-agent"
  cp -a .build/agent "$HOME_OF_AGENT"
  rm -r "$HOME_OF_AGENT/licenses" "$HOME_OF_AGENT/.made-from"
  install -m 0755 packaging/bin/vmagent "$TREE/usr/bin/vmagent"
  install -m 0644 CHANGELOG.md "$TREE/usr/share/doc/istio-agent/what-changed.md"
  install -D -m 0644 -t "$TREE/lib/systemd/system" systemd/*.service
  cp -a etc "$TREE/etc"
  .venv/bin/python packaging/completion/scripts.py "$TREE"
  # As a whole and in one go, whatever staging compiled and when: see lab/setup/bytecode.py.
  sed -i "s/^__version__ = .*/__version__ = \"$VERSION\"/" "$HOME_OF_AGENT/$PACKAGES/vmagent/__init__.py"
  .venv/bin/python -c 'import sys; from pathlib import Path; from lab.setup import bytecode
tree = Path(sys.argv[1]); bytecode.compile_tree(tree / sys.argv[2] / "vmagent", tree)' "$HOME_OF_AGENT" "$PACKAGES"
  chmod -R u=rwX,go=rX "$TREE"
}

# Debian's packages of which something is inside, with their versions: who follows security notices wants to know.
bundled() {
  .venv/bin/python -c 'from lab.setup import interpreter
print(", ".join(f"{name} (= {version})" for name, version in interpreter.debian_packages().items()))'
}

# Word for word, each under its name.
copyright() {
  cat "$HERE/copyright.head"
  local text
  for text in .build/agent/licenses/*; do
    printf '\n\n======== %s ========\n\n' "${text##*/}"
    cat "$text"
  done
}

changelog() {
  cat <<END
istio-agent ($VERSION) unstable; urgency=medium

  * What changed for operators is in what-changed.md, beside this file.

 -- $(sed -n 's/^Maintainer: //p' "$HERE/control")  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
END
}

stage_debian() {
  local debian=$SOURCE/debian
  install -d "$debian"
  cp "$HERE"/{control,rules,istio-agent.*} "$debian"
  sed -i "s/\${istio-agent:Bundled}/$(bundled)/" "$debian/control"
  cp systemd/istio-agent.sysusers.conf "$debian/istio-agent.sysusers"
  cp systemd/istio-agent.tmpfiles.conf "$debian/istio-agent.tmpfiles"
  copyright >"$debian/copyright"
  changelog >"$debian/changelog"
  install -d "$SOURCE/man"
  .venv/bin/python packaging/man/pages.py "$SOURCE/man"
  echo 'man/*' >"$debian/istio-agent.manpages"
}

build() {
  rm -rf "$WORK"
  mkdir -p "$WORK" dist
  stage_tree
  stage_debian
  find "$SOURCE" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  (cd "$SOURCE" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps) >"$WORK.log" 2>&1 || {
    tail -n 30 "$WORK.log" >&2
    exit 1
  }
  mv "$WORK/istio-agent_${VERSION}_amd64.deb" "$DEB"
}

# Of the one package that lies there, however it is compressed.
stamp=.build/deb-$VERSION.stamp
if [[ -f $DEB && -f $stamp && $(<"$stamp") == "$(fingerprint)" ]]; then
  echo "$DEB is up to date"
  exit
fi
build
fingerprint >"$stamp"
echo "$DEB ($(du -h "$DEB" | cut -f1))"
