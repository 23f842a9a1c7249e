# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Completion for bash: source it, or put it into
# /usr/share/bash-completion/completions/kubuf.

_kubuf_names() {
	local node
	for node in /dev/kubuf/*; do
		node=${node##*/}
		[[ $node = control || $node = '*' ]] || printf '%s\n' "$node"
	done
}

# Lines as they are, so that a name with blanks is one.
_kubuf_reply() {
	local line
	COMPREPLY=()
	while IFS= read -r line; do
		COMPREPLY+=("$line")
	done
}

_kubuf_value() {
	case $1 in
	--backing) _kubuf_reply < <(compgen -W 'huge kmalloc pages vmalloc' -- "$2") ;;
	--mode) _kubuf_reply < <(compgen -W '0600 0640 0660 0666' -- "$2") ;;
	--root)
		compopt -o filenames 2>/dev/null
		_kubuf_reply < <(compgen -d -- "$2")
		;;
	esac
}

_kubuf() {
	local cur=${COMP_WORDS[COMP_CWORD]} sub=${COMP_WORDS[1]-} options='' i n=0
	local all='create destroy list info load dump fill verify watch bench doctor'

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		_kubuf_reply < <(compgen -W "$all --help --version" -- "$cur")
		return
	fi
	# "--option=value" is three words here.
	if [ "$cur" = = ]; then
		_kubuf_value "${COMP_WORDS[COMP_CWORD - 1]}" ''
		return
	fi
	if [ "${COMP_WORDS[COMP_CWORD - 1]}" = = ]; then
		_kubuf_value "${COMP_WORDS[COMP_CWORD - 2]}" "$cur"
		return
	fi

	case $sub in
	create) options='--backing= --node= --mode= --reserved' ;;
	list | info) options='--json' ;;
	load | dump) options='--offset= --length= --verbose' ;;
	fill) options='--byte= --pattern= --random --random= --offset= --length=' ;;
	verify) options='--all' ;;
	watch) options='--interval= --once' ;;
	bench) options='--size= --backing=' ;;
	doctor) options='--root=' ;;
	esac
	if [[ $cur = -* ]]; then
		_kubuf_reply < <(compgen -W "$options --help" -- "$cur")
		[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
		return
	fi

	# Which argument it is, options and their values left out.
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [ "${COMP_WORDS[i]}" = = ]; then
			i=$((i + 1))
		elif [[ ${COMP_WORDS[i]} != -* ]]; then
			n=$((n + 1))
		fi
	done
	case $sub:$n in
	destroy:* | info:0 | load:0 | dump:0 | fill:0 | verify:0 | watch:0)
		_kubuf_reply < <(compgen -W "$(_kubuf_names)" -- "$cur")
		;;
	load:1 | dump:1)
		compopt -o filenames 2>/dev/null
		_kubuf_reply < <(compgen -f -- "$cur")
		;;
	esac
}

complete -F _kubuf kubuf
