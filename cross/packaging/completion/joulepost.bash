# SPDX-License-Identifier: Apache-2.0
# Completion for bash. What there is to complete is asked of the program, so it is always what the program takes.

_joulepost() {
  local program=${COMP_WORDS[0]} verb=${COMP_WORDS[1]-} word=${COMP_WORDS[COMP_CWORD]} help choices=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -le 1 ]; then
    choices=$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p')
    mapfile -t COMPREPLY < <(compgen -W "$choices --help" -- "$word")
    return
  fi
  help=$("$program" "$verb" --help </dev/null 2>/dev/null) || return 0
  # The first lines show the use: `--as csv|jsonl`, `spool status|verify|dump`.
  case ${COMP_WORDS[COMP_CWORD - 1]} in
  -*) choices=$(sed -n "s/^joulepost .*${COMP_WORDS[COMP_CWORD - 1]} \([a-z]*|[a-z|]*\).*/\1/p" <<<"$help") ;;
  "$verb") choices=$(sed -n "s/^joulepost $verb \([a-z]*|[a-z|]*\).*/\1/p" <<<"$help") ;;
  esac
  case $word in
  -*) choices="$(grep -oE -- '(^| |\[)--?[a-z][a-z-]*' <<<"$help" | tr -d ' [') --help" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "${choices//|/ }" -- "$word")
}

complete -o bashdefault -o default -F _joulepost joulepost
