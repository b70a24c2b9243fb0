#!/bin/sh
# Build the Python that the packaged agent brings along, from Debian's sources with their security patches, so that it
# runs wherever there is a C library from GLIBC on. Zig's C compiler, a wheel from PyPI, links against that old one.
#
# usage: packaging/runtime.sh FOLDER      the folder gets bin/python3 and its library; what is there already stays
set -eu

GLIBC=2.28
ARCH=$(uname -m)
PREFIX=/opt/tocsin-agent/python # where it will lie on the host
SUITE=bookworm
MODULES_LEFT_OUT="test idlelib lib2to3 tkinter turtledemo ensurepip pydoc_data distutils unittest"

out=$(mkdir -p "$1" && cd "$1" && pwd)
[ -x "$out/bin/python3" ] && exit 0
work=$out.work
mkdir -p "$work/bin" "$work/apt/lists/partial" "$work/apt/archives/partial"
cd "$work"
trap 'echo "packaging/runtime.sh: failed; what was said is in $work/log" >&2' EXIT

for tool in dpkg-source make perl tclsh; do
  command -v "$tool" >/dev/null || { echo "packaging/runtime.sh: needs $tool: apt-get install dpkg-dev perl tcl" >&2; exit 2; }
done

say() { echo "runtime: $*" >&2; }

say "compiler"
[ -x zig/bin/python ] || { python3 -m venv zig && zig/bin/pip install --quiet "ziglang>=0.13"; } >log 2>&1
zig=$(zig/bin/python -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / "zig")')
# The build machine's own headers and libraries must not come in.
cat >bin/cc <<END
#!/bin/sh
for word; do
  shift
  case \$word in -I/usr/include* | -L/usr/lib* | -L/lib*) ;; *) set -- "\$@" "\$word" ;; esac
done
exec $zig cc -target $ARCH-linux-gnu.$GLIBC -fno-sanitize=undefined -Wno-date-time "\$@"
END
for tool in ar ranlib; do printf '#!/bin/sh\nexec %s %s "$@"\n' "$zig" "$tool" >"bin/$tool"; done
chmod +x bin/*
export CC="$work/bin/cc" AR="$work/bin/ar" RANLIB="$work/bin/ranlib" CFLAGS="-O2 -fPIC" MAKEFLAGS="-j$(nproc)"

say "sources"
mirror=$(sed -n -E 's/^URIs: *([^ ]*\/debian)\/?$/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]*\/debian)\/? .*/\2/p' \
  /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1)
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $SUITE main" \
  >apt/sources.list
source_of() {
  apt-get -q -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt" -o APT::Sandbox::User=root "$@" >>log 2>&1
}
source_of update
for name in zlib libffi openssl sqlite3 python3.11; do ls -d "$name"-*/ >/dev/null 2>&1 || source_of source "$name"; done

say "zlib, libffi, OpenSSL, SQLite"
libs=$work/libs
mkdir -p "$libs/lib" "$libs/include"
(cd zlib-*/ && ./configure --static && make libz.a && cp libz.a "$libs/lib" && cp zlib.h zconf.h "$libs/include") >>log 2>&1
(cd libffi-*/ && ./configure --host="$ARCH-linux-gnu" --prefix="$libs" --libdir="$libs/lib" --disable-shared --with-pic \
  --disable-docs --disable-exec-static-tramp --disable-multi-os-directory && make && make install) >>log 2>&1
(cd openssl-*/ && ./Configure "linux-$ARCH" no-shared no-tests no-engine no-module no-legacy no-dso --prefix="$libs" \
  --libdir=lib --openssldir=/etc/ssl && make build_libs && make install_dev) >>log 2>&1

(cd sqlite3-*/ && ./configure --host="$ARCH-linux-gnu" --prefix="$libs" --libdir="$libs/lib" --disable-shared --disable-tcl \
  --disable-load-extension && make sqlite3.c sqlite3.h && "$CC" $CFLAGS -DSQLITE_THREADSAFE=1 -DSQLITE_OMIT_LOAD_EXTENSION \
  -c sqlite3.c && "$AR" rcs "$libs/lib/libsqlite3.a" sqlite3.o && cp sqlite3.h "$libs/include") >>log 2>&1

say "Python"
export CPPFLAGS="-I$libs/include" LDFLAGS="-L$libs/lib -Wl,-s" PKG_CONFIG_LIBDIR="$libs/lib/pkgconfig"
(cd python3.11-*/ && ./configure --prefix="$PREFIX" --without-ensurepip --with-openssl="$libs" --with-system-ffi \
  --disable-test-modules && make && make install DESTDIR="$work/installed") >>log 2>&1

cd "$work/installed$PREFIX"
"bin/python3.11" -c 'import ctypes, hashlib, mmap, select, sqlite3, ssl, zlib, fcntl, resource' # or it is of no use
find . -name '__pycache__' -o -name 'config-3.11*' -o -name '*.a' | xargs rm -rf
for name in $MODULES_LEFT_OUT; do rm -rf "lib/python3.11/$name"; done
rm -rf include share lib/pkgconfig bin/2to3* bin/idle3* bin/pydoc3* bin/*-config
cp -a . "$out"
rm -rf "$work/installed"
trap - EXIT
say "done: $out"
