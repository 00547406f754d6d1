#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install PROGRAM: puts joulepost and its service into the system, or brings what is there up to date. uninstall: takes
# all that out again but what people wrote or measured. DESTDIR=DIR: files only, below DIR, as a packager wants it.
# PREFIX (/usr/local): with /usr the service's files go to /usr/lib, where packages have them, else to /etc.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
root=${root%/}
prefix=${PREFIX:-/usr/local}
prefix=${prefix%/}
case $prefix in
/usr) lib=/usr/lib ;;
*) lib=/etc ;;
esac
units="joulepost-post.service joulepost-meter.service" # in the order of their start
conf=/etc/joulepost/joulepost.conf
bin=$prefix/bin/joulepost
unit_dir=$lib/systemd/system
tmpfiles=$lib/tmpfiles.d/joulepost.conf
sysusers=$lib/sysusers.d/joulepost.conf
udev=$lib/udev/rules.d/60-joulepost.rules
completion=$prefix/share/bash-completion/completions/joulepost
no_user_ns=/etc/systemd/system/joulepost-post.service.d/no-user-namespaces.conf

say() {
  printf 'joulepost: %s\n' "$*" >&2
}

die() {
  say "$*"
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# With DESTDIR nothing but files is touched.
is_live() {
  [ -z "$root" ]
}

runs_systemd() {
  is_live && [ -d /run/systemd/system ] && has systemctl
}

# put MODE DEST [FILE]: whole at once (a program that runs stays what it is), from stdin without FILE.
put() {
  mkdir -p "$root$(dirname "$2")"
  cat "${3:--}" >"$root$2.new"
  chmod "$1" "$root$2.new"
  mv -f "$root$2.new" "$root$2"
}

make_users() {
  [ -z "$(command -v systemd-sysusers)" ] || systemd-sysusers "$sysusers" || true
  getent group joulepost >/dev/null || groupadd --system joulepost
  for half in meter post; do
    getent passwd joulepost-$half >/dev/null ||
      useradd --system --gid joulepost --no-create-home --home-dir / --shell /usr/sbin/nologin \
        --comment "joulepost $half" joulepost-$half
  done
}

make_run_folder() {
  if has systemd-tmpfiles; then
    systemd-tmpfiles --create "$tmpfiles"
  else
    mkdir -p /run/joulepost
    chown root:joulepost /run/joulepost
    chmod 2770 /run/joulepost
  fi
}

# The rule is for counters that come; these are there.
open_counters() {
  ! has udevadm || udevadm control --reload || true
  for counter in /sys/class/powercap/*/energy_uj; do
    [ ! -e "$counter" ] || { chgrp joulepost "$counter" && chmod 0440 "$counter"; } || true
  done
}

# post's unit asks for one; a kernel without would not start it.
mind_user_namespaces() {
  if [ -e /proc/self/ns/user ] && [ "$(cat /proc/sys/user/max_user_namespaces 2>/dev/null || echo 1)" != 0 ]; then
    rm -f "$no_user_ns"
    rmdir "$(dirname "$no_user_ns")" 2>/dev/null || true
  else
    printf '[Service]\nPrivateUsers=no\n' | put 644 "$no_user_ns"
    say "no user namespaces here: joulepost-post.service does without ($no_user_ns)"
  fi
}

# post first: the new one reads what the old meter wrote, and meter measures meanwhile. Then meter, away for a moment: its
# windows lie in /run/joulepost, and counters go on where they were.
start() {
  systemctl daemon-reload
  if [ "$1" = new ]; then
    systemctl enable --now joulepost.target
    say "it runs, and will after each boot"
  else
    for unit in $units; do
      systemctl try-restart "$unit"
    done
    say "what ran was started anew"
  fi
}

next_steps() {
  [ "$1" = new ] || return 0
  cat >&2 <<STEPS
  look        systemctl status joulepost.target; journalctl -f -u 'joulepost-*'; joulepost probe
  configure   $conf, then systemctl restart joulepost.target
  ask         people who may use \`joulepost task\` and read the spool: usermod -a -G joulepost NAME
STEPS
}

install_all() {
  program=$1
  state=new
  [ ! -e "$root$unit_dir/joulepost.target" ] || state=upgrade
  [ -x "$program" ] || die "$program is not there: ./dev build"
  is_live && [ "$(id -u)" != 0 ] && die "this needs root (or DESTDIR=DIR, for the files alone)"
  if is_live && [ -e $conf ]; then # rather the old one that runs than a new one that does not
    "$program" meter --check >/dev/null || die "$conf is not for this version: nothing was changed"
  fi
  put 755 "$bin" "$program"
  for unit in joulepost.target $units; do
    sed "s|^ExecStart=/usr/bin/joulepost|ExecStart=$bin|" "$here/systemd/$unit" | put 644 "$unit_dir/$unit"
  done
  put 644 "$tmpfiles" "$here/joulepost.tmpfiles"
  put 644 "$sysusers" "$here/joulepost.sysusers"
  put 644 "$udev" "$here/joulepost.udev"
  put 644 "$completion" "$here/completion/joulepost.bash"
  mkdir -p "$root/etc/joulepost/boards.d"
  [ -e "$root$conf" ] || put 644 $conf "$here/joulepost.conf"
  say "installed $root$bin, $root$unit_dir/joulepost*, $root$conf"
  is_live || return 0
  make_users
  make_run_folder
  open_counters
  mind_user_namespaces
  if runs_systemd; then
    start $state
    next_steps $state
  elif [ $state = new ]; then
    say "systemd does not run here. With it: systemctl enable --now joulepost.target; without: joulepost agent"
  fi
}

uninstall_all() {
  is_live && [ "$(id -u)" != 0 ] && die "this needs root (or DESTDIR=DIR)"
  if runs_systemd && [ -e "$unit_dir/joulepost.target" ]; then
    systemctl disable --now joulepost.target
    systemctl stop joulepost-meter.service joulepost-post.service
  fi
  for file in "$bin" "$unit_dir/joulepost.target" "$unit_dir/joulepost-meter.service" \
    "$unit_dir/joulepost-post.service" "$tmpfiles" "$sysusers" "$udev" "$completion" "$no_user_ns"; do
    rm -f "$root$file"
  done
  rmdir "$root$(dirname "$no_user_ns")" 2>/dev/null || true
  ! runs_systemd || systemctl daemon-reload
  ! is_live || ! has udevadm || udevadm control --reload || true
  if is_live; then
    say "removed. Kept: the spool /var/lib/joulepost, /etc/joulepost, the users. Remove them with"
    say "  rm -r /var/lib/joulepost /etc/joulepost; userdel joulepost-meter; userdel joulepost-post; groupdel joulepost"
  else
    say "removed below $root; $root/etc/joulepost and $root/var/lib/joulepost stay"
  fi
}

case "${1:-} $#" in
"install 2") install_all "$2" ;;
"uninstall 1") uninstall_all ;;
*) die "usage: install.sh install PROGRAM | uninstall" ;;
esac
