/**
 * The scripts that make shells ask this program what can stand at the cursor.
 *
 * A script passes on the words before the cursor and evaluates nothing of the answer: its first line
 * says what kind of thing the shell itself is to offer, the others are words.
 *
 * @module
 */

const HEAD = `Completes the command lines of greet. Made by: greet completions`;

/** Bash replaces what follows the last of COMP_WORDBREAKS, and inserts words as they are. */
const BASH = `# ${HEAD} bash
_greet() {
  COMPREPLY=()
  local kind='' line host word=\${COMP_WORDS[COMP_CWORD]}
  while IFS= read -r line; do
    if [[ -n $kind ]]; then COMPREPLY+=("$line"); else kind=$line; fi
  done < <(command greet completions bash -- \\
    "$COMP_WORDBREAKS" "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null </dev/null)
  case $kind in
    files) compopt -o default 2>/dev/null ;;
    folders) compopt -o dirnames 2>/dev/null ;;
    hosts)
      while IFS= read -r host; do
        COMPREPLY+=("$host")
      done < <(compgen -A hostname -- "\${word#=}")
      ;;
  esac
}
# Bash 3 has no compopt: there, files are offered wherever there is nothing else.
if ((BASH_VERSINFO[0] > 3)); then complete -F _greet greet; else complete -o default -F _greet greet; fi`;

const ZSH = `#compdef greet
# ${HEAD} zsh
_greet() {
  local -a answer values shown
  local line rows=''
  answer=("\${(@f)$(command greet completions zsh -- \\
    "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null </dev/null)}")
  for line in "\${(@)answer[2,-1]}"; do
    values+=("\${line%%$'\\t'*}")
    if [[ $line == *$'\\t'* ]]; then
      rows=-l
      line="\${(r:14:)values[-1]} \${line#*$'\\t'}"
    fi
    shown+=("$line")
  done
  case $answer[1] in
    files) compset -P '*='; _files ;;
    folders) compset -P '*='; _files -/ ;;
    hosts) compset -P '*='; _hosts ;;
    *) compadd $rows -d shown -a values ;;
  esac
}
if [[ $funcstack[1] == _greet ]]; then _greet "$@"; else compdef _greet greet; fi`;

const FISH = `# ${HEAD} fish
function __greet_candidates
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    set -l answer (command greet completions fish -- $words[2..] "$token" 2>/dev/null </dev/null)
    set -l option (string match -r -- '^--[a-z-]+=' "$token"; or echo)
    set -l value (string replace -r -- '^(--[a-z-]+=)?["\\']?' '' "$token")
    switch "$answer[1]"
        case files
            printf '%s\\n' $option(__fish_complete_path "$value")
        case folders
            printf '%s\\n' $option(__fish_complete_directories "$value" '')
        case hosts
            printf '%s\\n' $option(__fish_print_hostnames)
    end
    set -q answer[2]; and printf '%s\\n' $answer[2..]
end
complete -c greet -f -a '(__greet_candidates)'`;

/** The script of each shell. */
export const COMPLETION_SCRIPTS: Readonly<Record<string, string>> = {
  bash: BASH,
  zsh: ZSH,
  fish: FISH,
};
