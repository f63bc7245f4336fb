/* cli/completion_script.c -- the scripts of bash, zsh and fish: each hands the words up to the cursor to
 * `skiff __complete` and shows what comes back. */
#include "cli/cli_int.h"
#include <stdio.h>

/* bash splits words at ':' and '=', which image names and flags contain: the line is split at spaces again,
 * and candidates lose what bash holds for other words. */
static const char bash[] = "# bash completion of skiff: source <(skiff completion bash)\n"
			   "_skiff() {\n"
			   "\tlocal line=${COMP_LINE:0:COMP_POINT} cur word keep out\n"
			   "\tlocal -a words\n"
			   "\tread -ra words <<<\"$line\"\n"
			   "\t[[ $line == *[[:space:]] || ${#words[@]} -lt 2 ]] && words+=(\"\")\n"
			   "\tcur=${words[${#words[@]} - 1]}\n"
			   "\tkeep=${cur%\"${cur##*[:=]}\"}\n"
			   "\tCOMPREPLY=()\n"
			   "\twhile IFS= read -r out; do\n"
			   "\t\tif [[ $out == :files ]]; then\n"
			   "\t\t\tcompopt -o default 2>/dev/null\n"
			   "\t\t\tcontinue\n"
			   "\t\tfi\n"
			   "\t\tword=${out%%$'\\t'*}\n"
			   "\t\t[[ $word == *= ]] && compopt -o nospace 2>/dev/null\n"
			   "\t\tCOMPREPLY+=(\"${word#\"$keep\"}\")\n"
			   "\tdone < <(\"$1\" __complete -- \"${words[@]:1}\" 2>/dev/null)\n"
			   "}\n"
			   "complete -F _skiff skiff\n";

static const char zsh[] = "#compdef skiff\n"
			  "# zsh completion of skiff: skiff completion zsh >\"${fpath[1]}/_skiff\", or "
			  "source <(skiff completion zsh)\n"
			  "_skiff() {\n"
			  "\tlocal line word files=0\n"
			  "\tlocal -a candidates\n"
			  "\tfor line in \"${(@f)$(\"$words[1]\" __complete -- \"${(@)words[2,CURRENT]}\" "
			  "2>/dev/null)}\"; do\n"
			  "\t\t[[ -z $line ]] && continue\n"
			  "\t\tif [[ $line == :files ]]; then\n"
			  "\t\t\tfiles=1\n"
			  "\t\t\tcontinue\n"
			  "\t\tfi\n"
			  "\t\tword=${line%%$'\\t'*}\n"
			  "\t\tcandidates+=(\"${word//:/\\\\:}:${line#*$'\\t'}\")\n"
			  "\tdone\n"
			  "\t(( ${#candidates} )) && _describe -V skiff candidates\n"
			  "\t(( files )) && _files\n"
			  "}\n"
			  "if [ \"$funcstack[1]\" = _skiff ]; then\n"
			  "\t_skiff \"$@\"\n"
			  "else\n"
			  "\tcompdef _skiff skiff\n"
			  "fi\n";

static const char fish[] = "# fish completion of skiff: skiff completion fish | source\n"
			   "function __skiff_ask\n"
			   "\tset -l words (commandline -opc)\n"
			   "\t$words[1] __complete -- $words[2..-1] (commandline -ct) 2>/dev/null\n"
			   "end\n"
			   "function __skiff_candidates\n"
			   "\t__skiff_ask | string match -v -- ':files'\n"
			   "end\n"
			   "function __skiff_wants_files\n"
			   "\t__skiff_ask | string match -q -- ':files'\n"
			   "end\n"
			   "complete -c skiff -f\n"
			   "complete -c skiff -a '(__skiff_candidates)'\n"
			   "complete -c skiff -n __skiff_wants_files -F\n";

int skf_cmd_completion(struct skf_cli *c)
{
	const char *shell = c->args.v[0];
	const char *script = skf_streq(shell, "bash")   ? bash
			     : skf_streq(shell, "zsh")  ? zsh
			     : skf_streq(shell, "fish") ? fish
							: NULL;

	if (!script) {
		skf_fail(&c->e, SKF_EINVALID, "no completion for the shell '%s': expected bash, zsh or fish",
			 shell);
		return skf_cli_fail(c, 1);
	}
	fputs(script, stdout);
	return 0;
}
